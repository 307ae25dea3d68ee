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
