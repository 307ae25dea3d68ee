internal import DeP2PIdentity
internal import DeP2PReactor

/// A node of the BitTorrent DHT: the id that it has by somebody's word, and where it is.
struct MainlineContact: Hashable, Sendable {
    let id: MainlineID
    let address: SocketAddress

    init(_ id: MainlineID, at address: SocketAddress) { (self.id, self.address) = (id, address) }

    /// Whether its id follows from its address (BEP 42).
    var isVerified: Bool { id.isAllowed(at: address.ip) }

    // MARK: Compact node info (BEP 5; BEP 32 for IPv6)

    /// Bytes of one: id, address, port.
    static func compactLength(_ family: IPAddress.Family) -> Int {
        MainlineID.byteCount + (family == .v4 ? 4 : 16) + 2
    }

    /// `nil` for a wrong length.
    init?(compact bytes: ArraySlice<UInt8>) {
        guard let id = MainlineID(bytes: bytes.prefix(MainlineID.byteCount)), bytes.count > MainlineID.byteCount + 2,
            let ip = IPAddress(bytes: bytes.dropFirst(MainlineID.byteCount).dropLast(2))
        else { return nil }
        let port = bytes.suffix(2).reduce(0) { $0 << 8 | UInt16($1) }
        self.init(id, at: SocketAddress(ip, port: port))
    }

    var compact: [UInt8] {
        let port = address.port
        return id.bytes + address.ip.bytes + [UInt8(port >> 8), UInt8(port & 0xff)]
    }
}
