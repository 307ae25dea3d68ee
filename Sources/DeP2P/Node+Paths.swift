public import DeP2PReactor
internal import Identity
public import QUIC
public import SystemLayer

extension Node {
    func startPunching() -> HolePunch {
        let surroundings = HolePunch.Surroundings(
            interfaces: { [weak endpoint] in Listening.interfaces(endpoint?.localAddresses ?? []) },
            observers: { [ownRelays] in ownRelays.compactMap(\.socketAddress) },
            relays: { [weak self] peer in self?.knownRelays(of: peer) ?? [] }, usesStraightPaths: usesDirect,
            hostMark: HostMark.current())
        let punch = HolePunch(connections, endpoint: endpoint, stun: stun, relays: relays, surroundings: surroundings)
        punch.start()
        return punch
    }

    /// Relays through which `peer` may be reached, besides those that it names itself.
    private func knownRelays(of peer: NodeID) -> [Address] {
        (knownPeers[peer] ?? []).compactMap { $0.relay?.address } + ownRelays
    }

    /// Adds what gives the addresses that gateways forward to this node, for peers to try.
    public func addMappedAddresses(_ addresses: @escaping @NetworkActor () -> [SocketAddress]) {
        holePunch?.mappedAddresses.append(addresses)
    }

    /// Calls `observer` whenever a connection has moved to another path.
    public func onPathChange(_ observer: @escaping @NetworkActor (Session, ConnectionPath) -> Void) {
        for session in connections.sessions { watch(session, observer) }
        connections.onSession { [weak self] session in self?.watch(session, observer) }
    }

    private func watch(_ session: Session, _ observer: @escaping @NetworkActor (Session, ConnectionPath) -> Void) {
        session.onPathChange { [weak session] path in
            if let session { observer(session, path) }
        }
    }
}

extension Address {
    /// The UDP address that a QUIC address stands for; `nil` for names, relayed addresses and other transports.
    var socketAddress: SocketAddress? {
        guard !isRelayed, case .ip(let ip)? = host, case .quic(let port)? = transport, port > 0 else { return nil }
        return SocketAddress(ip, port: port)
    }
}
