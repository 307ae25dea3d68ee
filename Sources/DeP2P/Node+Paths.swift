internal import DeP2PIdentity
internal import DeP2PReactor
internal import DeP2PSessions

extension Node {
    /// Relays through which `peer` may be reached, besides those that it names itself.
    func knownRelays(of peer: NodeID) -> [Address] {
        relays.realmRelays + chosenRelays(of: peer)
    }

    /// Of the relays through which that node may be reached those that this node's user has named, be it in an address of
    /// that node's: any member can offer one to the realm.
    func chosenRelays(of peer: NodeID) -> [Address] {
        ownRelays + connections.peers.book.given(of: peer).compactMap { $0.relay?.address }
    }
}

extension Address {
    /// The UDP address that a QUIC address stands for; `nil` for names, relayed addresses and other transports.
    var socketAddress: SocketAddress? {
        guard !isRelayed, case .ip(let ip)? = host, case .quic(let port)? = transport, port > 0 else { return nil }
        return SocketAddress(ip, port: port)
    }
}
