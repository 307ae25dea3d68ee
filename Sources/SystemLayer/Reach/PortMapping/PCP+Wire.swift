public import DeP2PIdentity
public import DeP2PReactor

/// Port Control Protocol messages (RFC 6887): MAP for UDP, and ANNOUNCE.
public enum PCP {
    /// Shared with NAT-PMP (RFC 6887 section 7).
    public static let port: UInt16 = 5351
    /// Where clients hear of gateways that have restarted: 224.0.0.1, all hosts of the link (RFC 6887 section 14.1).
    public static let announcements = SocketAddress(IPAddress(v4: 0xe000_0001), port: 5350)
    public static let version: UInt8 = 2
    public static let nonceLength = 12
    /// RFC 6887 section 7: no message is longer.
    public static let maximumLength = 1100
    static let headerLength = 24
    static let mapLength = 36
    static let udp: UInt8 = 17

    public enum Opcode: UInt8, Sendable { case announce = 0, map = 1 }

    /// Result codes that are acted on (RFC 6887 section 7.4).
    public enum Result {
        public static let success: UInt8 = 0
        public static let unsupportedVersion: UInt8 = 1
    }

    /// Asks for, renews or (lifetime 0) removes a mapping.
    public struct MapRequest: Equatable, Sendable {
        /// This machine's address as the gateway sees it.
        public var client: IPAddress
        /// 12 bytes that only we know: without them nobody else may change the mapping.
        public var nonce: [UInt8]
        public var internalPort: UInt16
        /// The external address wished for; port 0 and the unspecified address are no wish.
        public var suggested: SocketAddress
        /// Seconds.
        public var lifetime: UInt32

        public var bytes: [UInt8] {
            header(.map, lifetime: lifetime, client: client) + nonce + [udp, 0, 0, 0] + internalPort.bigEndianBytes
                + suggested.port.bigEndianBytes + mapped(suggested.ip)
        }
    }

    /// Asks whether there is a PCP server, and for its epoch.
    public static func announceRequest(client: IPAddress) -> [UInt8] { header(.announce, lifetime: 0, client: client) }

    public struct Response: Equatable, Sendable {
        public let opcode: UInt8
        public let result: UInt8
        /// Seconds that a mapping holds, or that an error is worth remembering.
        public let lifetime: UInt32
        /// Seconds since the gateway lost its state.
        public let epoch: UInt32
        public let map: Map?
    }

    /// A MAP response's own part.
    public struct Map: Equatable, Sendable {
        public let nonce: [UInt8]
        public let internalPort: UInt16
        public let external: SocketAddress
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
    public static func response(_ datagram: [UInt8]) -> Response? {
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
