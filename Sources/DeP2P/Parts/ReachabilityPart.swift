internal import DeP2PReach
internal import DeP2PReactor

/// Finds out whether others reach the node.
@NetworkActor
final class ReachabilityPart: NodePart {
    private let reachability: Reachability
    private let isUsed: Bool

    /// - Parameter isUsed: whether there is a use for the answer.
    init(of node: Node, isUsed: Bool) {
        reachability = node.own.reachability
        self.isUsed = isUsed
        reachability.onChange = { [weak node] in
            guard let node else { return }
            node.hub.emit(.reachability(node.reachability))
            node.dhtPart?.reachabilityChanged()
            node.realmRelayPart?.reachabilityChanged()
            node.relayClientPart?.reachabilityChanged()
        }
    }

    func start() {
        if isUsed { reachability.start() }
    }

    func networkChanged() { reachability.networkChanged() }

    func willStop(within grace: Duration) { reachability.stop() }
}
