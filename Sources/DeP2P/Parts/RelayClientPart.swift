internal import DeP2PIdentity
internal import DeP2PReach
internal import DeP2PReactor
internal import DeP2PSessions

/// Reaches others through relays, and is reached through them.
@NetworkActor
final class RelayClientPart: NodePart {
    private let relays: RelayClient
    private weak var node: Node?
    private let usesRelays: Bool
    /// Relays to keep reservations with.
    private let reserved: [Address]
    /// Nodes that may be relays too, as most by which others begin are; what they say of themselves shows it.
    private let bootstrap: [Address]

    init(_ relays: RelayClient, of node: Node, _ configuration: NodeConfiguration) {
        self.relays = relays
        self.node = node
        usesRelays = configuration.usesRelays
        let reserves = configuration.usesRelays && configuration.reserves
        reserved = reserves ? configuration.relays : []
        bootstrap = reserves && configuration.relay == nil ? configuration.bootstrap : []
    }

    func start() {
        relays.wantsMembersOnly = { [weak node] in node?.realmID != nil }
        relays.serve(service: node?.relayService)
        if usesRelays { relays.dialThroughRelays() }
        for relay in reserved { relays.use(relay) }
        guard !bootstrap.isEmpty else { return }
        node?.connections.onIdentified { [weak self] session in self?.identified(session.remoteNodeID) }
    }

    private func identified(_ nodeID: NodeID) {
        guard let peers = node?.connections.peers,
            peers.book.peer(nodeID)?.protocols.contains(RelayClient.protocolID) == true
        else { return }
        for address in bootstrap where address.nodeID == nodeID { relays.use(address) }
    }

    func networkChanged() { relays.networkChanged() }

    /// A stream that stands for a circuit ends with the circuit's connection.
    func streamsKeptOpen(on session: Session) -> Int { relays.circuitCount(on: session) }

    func stop() async { relays.stop() }
}
