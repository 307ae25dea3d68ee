/// Reads a byte string from front to back; each step returns nil instead of passing the end.
struct ByteReader {
    private let bytes: [UInt8]
    private(set) var offset = 0

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    var isAtEnd: Bool { offset == bytes.count }
    var remaining: Int { bytes.count - offset }

    mutating func byte() -> UInt8? {
        guard offset < bytes.count else { return nil }
        defer { offset += 1 }
        return bytes[offset]
    }

    /// The next `count` bytes; `count` may be any number a peer sent.
    mutating func take(_ count: UInt64) -> [UInt8]? {
        guard count <= UInt64(remaining) else { return nil }
        let end = offset + Int(count)
        defer { offset = end }
        return [UInt8](bytes[offset..<end])
    }

    /// A multiformats varint in its shortest form.
    mutating func varint() -> UInt64? {
        guard case .value(let value, let length) = Varint.decode(bytes[offset...]) else { return nil }
        offset += length
        return value
    }

    /// A varint, then as many bytes.
    mutating func lengthPrefixed() -> [UInt8]? {
        guard let count = varint() else { return nil }
        return take(count)
    }

    mutating func uint16() -> UInt16? {
        guard let pair = take(2) else { return nil }
        return UInt16(pair[0]) << 8 | UInt16(pair[1])
    }
}
