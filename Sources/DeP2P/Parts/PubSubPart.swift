internal import DeP2PApp
internal import DeP2PIdentity
internal import DeP2PReactor
internal import DeP2PSessions

/// Publishing and subscribing. A node that does either connects with those members whose addresses it was given, and again
/// when it loses them: messages go from member to member over connections that stand.
@NetworkActor
final class PubSubPart: NodePart {
    private static let firstDelay = Duration.seconds(1)
    private static let longestDelay = Duration.seconds(60)

    private let pubsub: PubSub
    private weak var node: Node?
    private let clock: any NetworkClock
    private let known: [NodeID]
    private var tasks: [Task<Void, Never>] = []

    init(of node: Node, _ configuration: NodeConfiguration) {
        (pubsub, clock) = (node.pubsub, node.clock)
        self.node = node
        var known: [NodeID] = []
        for nodeID in configuration.knownPeers.compactMap(\.nodeID)
        where !known.contains(nodeID) && nodeID != node.nodeID {
            known.append(nodeID)
        }
        self.known = known
    }

    func start() {
        pubsub.start()
        pubsub.onActivation = { [weak self] in self?.connect() }
    }

    private func connect() {
        guard tasks.isEmpty else { return }
        tasks = known.map { nodeID in networkTask { [weak self] in await self?.keepConnected(with: nodeID) } }
    }

    private func keepConnected(with nodeID: NodeID) async {
        var delay = Self.firstDelay
        while !Task.isCancelled {
            if await stayConnected(with: nodeID) { delay = Self.firstDelay }
            // Time itself: who is not there now may be later.
            do { try await clock.sleep(for: delay) } catch { return }
            delay = min(delay * 2, Self.longestDelay)
        }
    }

    /// - Returns: whether there was a connection; it has ended.
    private func stayConnected(with nodeID: NodeID) async -> Bool {
        guard let node, node.realmID != nil else { return false }
        let session = await traced(awaiting: "a known member is connected") {
            try await node.connectMember(DialTarget(nodeID: nodeID, addresses: []))
        }
        guard let session else { return false }
        return await traced(awaiting: "a member goes") { try await session.waitClosed() } != nil
    }

    func streamsKeptOpen(on session: Session) -> Int { pubsub.streamsKeptOpen(on: session) }

    func willStop(within grace: Duration) {
        for task in tasks { task.cancel() }
        pubsub.finish()
    }

    func stop() async { pubsub.stop() }
}
