internal import DeP2PIdentity
internal import DeP2PReactor
internal import DeP2PSessions

extension Node {
    /// Relays through which `peer` may be reached, besides those that it names itself.
    func knownRelays(of peer: NodeID) -> [Address] {
        relays.realmRelays + connections.peers.book.given(of: peer).compactMap { $0.relay?.address } + ownRelays
    }
}

extension Address {
    /// The UDP address that a QUIC address stands for; `nil` for names, relayed addresses and other transports.
    var socketAddress: SocketAddress? {
        guard !isRelayed, case .ip(let ip)? = host, case .quic(let port)? = transport, port > 0 else { return nil }
        return SocketAddress(ip, port: port)
    }
}
