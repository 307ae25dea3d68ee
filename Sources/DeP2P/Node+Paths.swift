public import DeP2PReactor
internal import Identity
public import QUIC
public import SystemLayer

extension Node {
    /// Relays through which `peer` may be reached, besides those that it names itself.
    func knownRelays(of peer: NodeID) -> [Address] {
        (knownPeers[peer] ?? []).compactMap { $0.relay?.address } + ownRelays
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
