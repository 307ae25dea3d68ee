/// Reads numbers in network order. The caller has checked ``remaining``.
package struct NetworkOrderReader {
    private let bytes: [UInt8]
    package private(set) var position = 0

    package init(_ bytes: [UInt8]) { self.bytes = bytes }

    package var remaining: Int { bytes.count - position }

    package mutating func bytes(_ count: Int) -> ArraySlice<UInt8> {
        let slice = bytes[position..<position + count]
        position += count
        return slice
    }

    package mutating func uint16() -> UInt16 { bytes(2).reduce(0) { $0 << 8 | UInt16($1) } }
    package mutating func uint32() -> UInt32 { bytes(4).reduce(0) { $0 << 8 | UInt32($1) } }
    package mutating func uint64() -> UInt64 { bytes(8).reduce(0) { $0 << 8 | UInt64($1) } }
}
