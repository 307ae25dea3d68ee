internal import DeP2PReactor

/// The header in front of each QUIC packet on the way to and from a relay: `0001 eeee ‖ circuit (8 bytes, big endian)`.
///
/// `eeee` is the epoch: how often the QUIC client has come back to this circuit from another path. Both ends make
/// their fake addresses from it, since a server ignores a migration back to a path that it has just left.
enum RelayFrame {
    /// Bytes before the QUIC packet.
    static let headerSize = 9
    /// The largest epoch; after it they begin anew.
    static let lastEpoch: UInt8 = 0x0f

    /// Whether a datagram that starts with `byte` may be a relay frame. QUIC packets with a greased fixed bit
    /// (RFC 9287) may look the same, so only a known circuit makes it one.
    static func isType(_ byte: UInt8) -> Bool { DatagramKind(firstByte: byte) == .relayFrame }

    /// The circuit and epoch of a datagram, when it is long enough to be a frame with anything in it.
    static func header(of bytes: UnsafeMutableRawBufferPointer) -> (circuit: UInt64, epoch: UInt8)? {
        guard bytes.count > headerSize, isType(bytes[0]) else { return nil }
        return (circuit(at: 0, of: bytes), bytes[0] & lastEpoch)
    }

    /// The circuit of the frame that starts at `offset`; there are at least ``headerSize`` bytes from there on.
    static func circuit(at offset: Int, of bytes: UnsafeMutableRawBufferPointer) -> UInt64 {
        UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: offset + 1, as: UInt64.self))
    }

    static func setCircuit(_ circuit: UInt64, at offset: Int, of bytes: UnsafeMutableRawBufferPointer) {
        bytes.storeBytes(of: circuit.bigEndian, toByteOffset: offset + 1, as: UInt64.self)
    }

    static func write(
        circuit: UInt64, epoch: UInt8, at offset: Int, of bytes: UnsafeMutableRawBufferPointer
    ) {
        bytes[offset] = DatagramKind.relayFrameByte | (epoch & lastEpoch)
        setCircuit(circuit, at: offset, of: bytes)
    }
}
