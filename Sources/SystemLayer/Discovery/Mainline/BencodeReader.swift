/// Reads bencoded values, one byte after the other.
struct BencodeReader {
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
