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
    /// Whether members that relay for the realm are used.
    private let usesRealm: Bool
    private let meeting: RelayMeeting

    init(_ relays: RelayClient, of node: Node, _ configuration: NodeConfiguration) {
        self.relays = relays
        self.node = node
        usesRelays = configuration.usesRelays
        let reserves = configuration.usesRelays && configuration.reserves
        reserved = reserves ? configuration.relays : []
        bootstrap = reserves && configuration.relay == nil ? configuration.bootstrap : []
        usesRealm = reserves && configuration.relay == nil
        meeting = RelayMeeting(
            node, named: (configuration.knownPeers + configuration.bootstrap).compactMap(\.nodeID))
    }

    func start() {
        relays.wantsMembersOnly = { [weak node] in node?.realmID != nil }
        relays.serve(service: node?.relayService)
        if usesRelays { relays.dialThroughRelays() }
        for relay in reserved { relays.use(relay) }
        guard usesRealm else { return }
        node?.connections.onIdentified { [weak self] session in
            self?.identified(session.remoteNodeID)
            self?.look(at: session)
        }
        // What it says of itself may be here before its answer to this node's proof.
        node?.connections.onAdmission { [weak self] session in self?.look(at: session) }
        node?.connections.onRealmChange { [weak self] isInRealm in self?.realmChanged(isInRealm) }
    }

    private func identified(_ nodeID: NodeID) {
        guard !bootstrap.isEmpty, let peers = node?.connections.peers,
            peers.book.peer(nodeID)?.protocols.contains(RelayClient.protocolID) == true
        else { return }
        for address in bootstrap where address.nodeID == nodeID { relays.use(address) }
    }

    // MARK: Relays of the realm

    /// Who is reached straight needs none, and who relays itself is.
    private var needsRelays: Bool { node.map { $0.reachability != .reachable && $0.relayService == nil } ?? false }

    /// A member may say that it relays, and where everybody reaches it, or that it does so no more.
    private func look(at session: Session) {
        guard session.isAdmitted, let peer = node?.connections.peers.book.peer(session.remoteNodeID) else { return }
        guard peer.protocols.contains(RelayClient.realmProtocolID) else {
            return relays.withdraw(ofRealm: session.remoteNodeID)
        }
        guard needsRelays else { return }
        let addresses = peer.addresses.map(\.address).filter { address in
            guard !address.isRelayed, case .ip(let ip)? = address.host else { return false }
            return ip.isGlobal
        }
        relays.use(ofRealm: session.remoteNodeID, at: addresses)
    }

    private func realmChanged(_ isInRealm: Bool) {
        guard isInRealm else {
            meeting.stop()
            return relays.withdrawAllOfRealm()
        }
        meeting.start { [weak self] in
            self.map { $0.needsRelays && $0.relays.standing.isEmpty } ?? false
        }
    }

    func reachabilityChanged() {
        guard usesRealm else { return }
        guard needsRelays else { return relays.withdrawAllOfRealm() }
        for session in node?.connections.sessions ?? [] { look(at: session) }
    }

    func willStop(within grace: Duration) { meeting.stop() }

    func networkChanged() { relays.networkChanged() }

    /// A stream that stands for a circuit ends with the circuit's connection.
    func streamsKeptOpen(on session: Session) -> Int { relays.circuitCount(on: session) }

    func stop() async { relays.stop() }
}
