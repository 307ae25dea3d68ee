package import DeP2PIdentity
package import DeP2PReactor

/// Port Control Protocol messages (RFC 6887): MAP for UDP, and ANNOUNCE.
package enum PCP {
    /// Shared with NAT-PMP (RFC 6887 section 7).
    package static let port: UInt16 = 5351
    /// Where clients hear of gateways that have restarted: 224.0.0.1, all hosts of the link (RFC 6887 section 14.1).
    package static let announcements = SocketAddress(IPAddress(v4: 0xe000_0001), port: 5350)
    package static let version: UInt8 = 2
    package static let nonceLength = 12
    /// RFC 6887 section 7: no message is longer.
    package static let maximumLength = 1100
    static let headerLength = 24
    static let mapLength = 36
    static let udp: UInt8 = 17

    package enum Opcode: UInt8, Sendable { case announce = 0, map = 1 }

    /// Result codes that are acted on (RFC 6887 section 7.4).
    package enum Result {
        package static let success: UInt8 = 0
        package static let unsupportedVersion: UInt8 = 1
    }

    /// Asks for, renews or (lifetime 0) removes a mapping.
    package struct MapRequest: Equatable, Sendable {
        /// This machine's address as the gateway sees it.
        package var client: IPAddress
        /// 12 bytes that only we know: without them nobody else may change the mapping.
        package var nonce: [UInt8]
        package var internalPort: UInt16
        /// The external address wished for; port 0 and the unspecified address are no wish.
        package var suggested: SocketAddress
        /// Seconds.
        package var lifetime: UInt32

        package var bytes: [UInt8] {
            header(.map, lifetime: lifetime, client: client) + nonce + [udp, 0, 0, 0] + internalPort.bigEndianBytes
                + suggested.port.bigEndianBytes + mapped(suggested.ip)
        }
    }

    /// Asks whether there is a PCP server, and for its epoch.
    package static func announceRequest(client: IPAddress) -> [UInt8] { header(.announce, lifetime: 0, client: client) }

    package struct Response: Equatable, Sendable {
        package let opcode: UInt8
        package let result: UInt8
        /// Seconds that a mapping holds, or that an error is worth remembering.
        package let lifetime: UInt32
        /// Seconds since the gateway lost its state.
        package let epoch: UInt32
        package let map: Map?
    }

    /// A MAP response's own part.
    package struct Map: Equatable, Sendable {
        package let nonce: [UInt8]
        package let internalPort: UInt16
        package let external: SocketAddress
    }

    private static func header(_ opcode: Opcode, lifetime: UInt32, client: IPAddress) -> [UInt8] {
        [version, opcode.rawValue, 0, 0] + lifetime.bigEndianBytes + mapped(client)
    }

    /// 16 bytes; IPv4 as an IPv4-mapped IPv6 address (RFC 6887 section 5).
    private static func mapped(_ address: IPAddress) -> [UInt8] {
        address.family == .v6 ? address.bytes : [UInt8](repeating: 0, count: 10) + [0xff, 0xff] + address.bytes
    }

    private static func unmapped(_ bytes: ArraySlice<UInt8>) -> IPAddress? {
        let isV4 = bytes.prefix(12).elementsEqual([UInt8](repeating: 0, count: 10) + [0xff, 0xff])
        return IPAddress(bytes: isV4 ? bytes.suffix(4) : bytes)
    }

    /// Parses a response; `nil` for anything else, a message of another version among them.
    package static func response(_ datagram: [UInt8]) -> Response? {
        guard (headerLength...maximumLength).contains(datagram.count), datagram.count % 4 == 0,
            datagram[0] == version, datagram[1] & 0x80 != 0
        else { return nil }
        var reader = NetworkOrderReader(datagram)
        let (start, lifetime, epoch) = (reader.uint32(), reader.uint32(), reader.uint32())
        _ = reader.bytes(12)
        let opcode = UInt8(truncatingIfNeeded: start >> 16) & 0x7f
        let isMap = opcode == Opcode.map.rawValue && reader.remaining >= mapLength
        return Response(
            opcode: opcode, result: UInt8(truncatingIfNeeded: start), lifetime: lifetime, epoch: epoch,
            map: isMap ? map(&reader) : nil)
    }

    private static func map(_ reader: inout NetworkOrderReader) -> Map? {
        let nonce = Array(reader.bytes(nonceLength))
        guard reader.bytes(4).first == udp else { return nil }
        let (internalPort, externalPort) = (reader.uint16(), reader.uint16())
        guard let address = unmapped(reader.bytes(16)) else { return nil }
        return Map(nonce: nonce, internalPort: internalPort, external: SocketAddress(address, port: externalPort))
    }
}
