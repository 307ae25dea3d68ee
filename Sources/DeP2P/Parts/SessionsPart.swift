internal import DeP2PIdentity
internal import DeP2PReactor
internal import DeP2PSessions

/// The sessions with other nodes: those that the user named are protected, and all of them are told goodbye.
@NetworkActor
final class SessionsPart: NodePart {
    private let connections: Connections
    private let bootstrap: [NodeID]
    private let relays: [NodeID]

    init(_ connections: Connections, bootstrap: [NodeID], relays: [Address]) {
        self.connections = connections
        self.bootstrap = bootstrap
        self.relays = relays.compactMap(\.nodeID)
    }

    func start() {
        for nodeID in bootstrap { connections.protect(nodeID, for: .bootstrap) }
        for nodeID in relays { connections.protect(nodeID, for: .relay) }
    }

    /// Who is shown proofs of other realms takes his time for them.
    func streamsKeptOpen(on session: Session) -> Int { session.admissionsUnderWay }

    func stop() async { connections.stop() }
}
