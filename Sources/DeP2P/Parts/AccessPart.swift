internal import DeP2PIdentity
internal import DeP2PReach
internal import DeP2PReactor
internal import DeP2PSessions

/// Whoever the node's ``AccessPolicy`` leaves out gets no connection, and none through a relay either. The connections that
/// the node made itself, to its relays for instance, stay, but nothing is received over them.
@NetworkActor
final class AccessPart: NodePart {
    private let connections: Connections
    private let relays: RelayClient
    private weak var node: Node?

    init(of node: Node) {
        (connections, relays) = (node.connections, node.relays)
        self.node = node
    }

    func start() {
        relays.accepts = { [weak node] source in node?.access.admits(source) ?? false }
        connections.onSession { [weak self] session in self?.look(at: session) }
    }

    /// The policy is another one.
    func changed() {
        for session in connections.sessions { look(at: session) }
    }

    private func look(at session: Session) {
        guard let node, !node.access.admits(session.remoteNodeID) else { return }
        if session.isInitiator {
            // What was under way when the policy changed.
            session.dropMemberStreams(.notAllowed)
        } else {
            session.close(.notAllowed, reason: "this node does not receive from you")
        }
    }
}
