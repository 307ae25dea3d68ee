extension FixedWidthInteger where Self: UnsignedInteger {
    /// In network order.
    var bigEndianBytes: [UInt8] {
        stride(from: bitWidth - 8, through: 0, by: -8).map { UInt8(truncatingIfNeeded: self >> Self($0)) }
    }
}

/// Reads numbers in network order. The caller has checked ``remaining``.
struct NetworkOrderReader {
    private let bytes: [UInt8]
    private(set) var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var remaining: Int { bytes.count - position }

    mutating func bytes(_ count: Int) -> ArraySlice<UInt8> {
        let slice = bytes[position..<position + count]
        position += count
        return slice
    }

    mutating func uint16() -> UInt16 { bytes(2).reduce(0) { $0 << 8 | UInt16($1) } }
    mutating func uint32() -> UInt32 { bytes(4).reduce(0) { $0 << 8 | UInt32($1) } }
    mutating func uint64() -> UInt64 { bytes(8).reduce(0) { $0 << 8 | UInt64($1) } }
}
