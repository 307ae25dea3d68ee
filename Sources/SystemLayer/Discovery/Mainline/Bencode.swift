/// A bencoded value (BEP 3). Each value has one encoding, and what is encoded otherwise (keys out of order, numbers with
/// leading zeros) is not read: so the bytes of a part are had again by encoding it.
enum Bencode: Hashable, Sendable {
    /// Lists and dictionaries within each other.
    static let depthLimit = 16

    case integer(Int64)
    case bytes([UInt8])
    case list([Bencode])
    case dictionary([[UInt8]: Bencode])

    /// Reads one value that ends where the bytes do; `nil` for anything else.
    init?(decoding bytes: [UInt8]) {
        var reader = BencodeReader(bytes)
        guard let value = reader.value(depth: 0), reader.isAtEnd else { return nil }
        self = value
    }

    static func text(_ text: String) -> Bencode { .bytes(Array(text.utf8)) }

    /// The entry of a dictionary; `nil` of anything else.
    subscript(key: String) -> Bencode? {
        if case .dictionary(let entries) = self { entries[Array(key.utf8)] } else { nil }
    }

    var asBytes: [UInt8]? { if case .bytes(let bytes) = self { bytes } else { nil } }
    var asInteger: Int64? { if case .integer(let number) = self { number } else { nil } }
    var asList: [Bencode]? { if case .list(let values) = self { values } else { nil } }

    // MARK: Encoding

    var encoded: [UInt8] {
        var bytes: [UInt8] = []
        append(to: &bytes)
        return bytes
    }

    private func append(to bytes: inout [UInt8]) {
        switch self {
        case .integer(let number): bytes += "i\(number)e".utf8
        case .bytes(let text): Self.append(text, to: &bytes)
        case .list(let values):
            bytes.append(UInt8(ascii: "l"))
            for value in values { value.append(to: &bytes) }
            bytes.append(UInt8(ascii: "e"))
        case .dictionary(let entries):
            bytes.append(UInt8(ascii: "d"))
            for (key, value) in entries.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
                Self.append(key, to: &bytes)
                value.append(to: &bytes)
            }
            bytes.append(UInt8(ascii: "e"))
        }
    }

    private static func append(_ text: [UInt8], to bytes: inout [UInt8]) {
        bytes += "\(text.count):".utf8
        bytes += text
    }
}

extension Bencode: ExpressibleByDictionaryLiteral {
    init(dictionaryLiteral elements: (String, Bencode)...) {
        self = .dictionary(Dictionary(elements.map { (Array($0.utf8), $1) }, uniquingKeysWith: { first, _ in first }))
    }
}

/// Reads bencoded values, one byte after the other.
private struct BencodeReader {
    /// Of a number, its sign included: as many as the least of 64 bits has.
    private static let longestNumber = 20

    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var isAtEnd: Bool { position == bytes.count }
    private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    mutating func value(depth: Int) -> Bencode? {
        switch next {
        case UInt8(ascii: "i"):
            position += 1
            return number(endingWith: UInt8(ascii: "e")).map { .integer($0) }
        case UInt8(ascii: "l") where depth < Bencode.depthLimit:
            position += 1
            return list(depth: depth)
        case UInt8(ascii: "d") where depth < Bencode.depthLimit:
            position += 1
            return dictionary(depth: depth)
        default: return text().map { .bytes($0) }
        }
    }

    private mutating func list(depth: Int) -> Bencode? {
        var values: [Bencode] = []
        while next != UInt8(ascii: "e") {
            guard let value = value(depth: depth + 1) else { return nil }
            values.append(value)
        }
        position += 1
        return .list(values)
    }

    private mutating func dictionary(depth: Int) -> Bencode? {
        var entries: [[UInt8]: Bencode] = [:]
        var last: [UInt8]?
        while next != UInt8(ascii: "e") {
            guard let key = text(), last?.lexicographicallyPrecedes(key) ?? true, let value = value(depth: depth + 1)
            else { return nil }
            entries[key] = value
            last = key
        }
        position += 1
        return .dictionary(entries)
    }

    private mutating func text() -> [UInt8]? {
        guard next != UInt8(ascii: "-"), let length = number(endingWith: UInt8(ascii: ":")),
            length <= Int64(bytes.count - position)
        else { return nil }
        let end = position + Int(length)
        defer { position = end }
        return Array(bytes[position..<end])
    }

    /// Decimal digits, without leading zeros, and no `-0`.
    private mutating func number(endingWith end: UInt8) -> Int64? {
        guard let length = bytes[position...].prefix(Self.longestNumber + 1).firstIndex(of: end) else { return nil }
        let digits = bytes[position..<length]
        let magnitude = digits.first == UInt8(ascii: "-") ? digits.dropFirst() : digits
        guard !magnitude.isEmpty, magnitude.allSatisfy({ (0x30...0x39).contains($0) }),
            magnitude.first != UInt8(ascii: "0") || digits.count == 1
        else { return nil }
        position = length + 1
        return Int64(String(decoding: digits, as: UTF8.self))
    }
}
