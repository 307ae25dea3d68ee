package import DeP2PIdentity

/// NAT Port Mapping Protocol messages (RFC 6886): the external address, and UDP mappings.
package enum NATPMP {
    package static let version: UInt8 = 0

    private static let addressOpcode: UInt8 = 0
    private static let mapOpcode: UInt8 = 1

    /// RFC 6886 section 3.2.
    package static let addressRequest: [UInt8] = [version, addressOpcode]

    /// RFC 6886 section 3.3; lifetime 0 with external port 0 removes (section 3.4).
    package static func mapRequest(internalPort: UInt16, suggested: UInt16, lifetime: UInt32) -> [UInt8] {
        [version, mapOpcode, 0, 0] + internalPort.bigEndianBytes + suggested.bigEndianBytes + lifetime.bigEndianBytes
    }

    package enum Response: Equatable, Sendable {
        case address(IPAddress, epoch: UInt32)
        /// Lifetime in seconds.
        case map(internalPort: UInt16, externalPort: UInt16, lifetime: UInt32, epoch: UInt32)
        /// A result code other than success (RFC 6886 section 3.5).
        case failure(opcode: UInt8, code: UInt16, epoch: UInt32)
    }

    /// Parses a response; `nil` for anything else.
    package static func response(_ datagram: [UInt8]) -> Response? {
        guard (8...16).contains(datagram.count), datagram[0] == version, datagram[1] & 0x80 != 0 else { return nil }
        var reader = NetworkOrderReader(datagram)
        let opcode = UInt8(truncatingIfNeeded: reader.uint16()) & 0x7f
        let (code, epoch) = (reader.uint16(), reader.uint32())
        if code != 0 { return .failure(opcode: opcode, code: code, epoch: epoch) }
        switch (opcode, reader.remaining) {
        case (addressOpcode, 4): return .address(IPAddress(v4: reader.uint32()), epoch: epoch)
        case (mapOpcode, 8):
            return .map(
                internalPort: reader.uint16(), externalPort: reader.uint16(), lifetime: reader.uint32(), epoch: epoch)
        default: return nil
        }
    }
}
