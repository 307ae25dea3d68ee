internal import DeP2PIdentity
internal import DeP2PReactor
internal import DeP2PSessions

/// Looks for a member that relays, while this node has need of it: connects with those that its user names, and with some that
/// show themselves and have a public address; they say themselves what they are.
@NetworkActor
final class RelayMeeting {
    /// What is connected by then anyway may be enough.
    static let patience = Duration.seconds(1)
    /// From one look at who has shown themselves to the next.
    static let interval = Duration.seconds(60)
    /// Connected with at each look, of those named and of those heard; and heard of until then.
    static let namedLimit = 8
    static let perLook = 4
    static let heardLimit = 64

    private weak var node: Node?
    private let named: [NodeID]
    private var tasks: [Task<Void, Never>] = []
    /// Where they are, the latest last.
    private var heard: [[Address]] = []

    init(_ node: Node, named: [NodeID]) {
        self.node = node
        self.named = Array(named.filter { $0 != node.nodeID }.prefix(Self.namedLimit))
    }

    func start(isNeeded: @escaping @NetworkActor @Sendable () -> Bool) {
        guard let node, tasks.isEmpty else { return }
        tasks = node.connections.memberSources.map { source in
            networkTask { [weak self] in
                for await found in source.members() { self?.hear(found.addresses.map(\.address)) }
            }
        }
        tasks.append(
            networkTask { [weak self, clock = node.clock] in
                var wait = Self.patience
                while !Task.isCancelled {
                    // Time itself: until those that there is a connection with anyway have said what they are.
                    do { try await clock.sleep(for: wait) } catch { return }
                    if isNeeded() { await self?.meet() }
                    wait = Self.interval
                }
            })
    }

    func stop() {
        for task in tasks { task.cancel() }
        (tasks, heard) = ([], [])
    }

    private func hear(_ addresses: [Address]) {
        let isPublic = addresses.contains { address in
            if case .ip(let ip)? = address.host, !address.isRelayed { ip.isGlobal } else { false }
        }
        guard isPublic, !heard.contains(addresses) else { return }
        heard.append(addresses)
        if heard.count > Self.heardLimit { heard.removeFirst() }
    }

    private func meet() async {
        for nodeID in named where !Task.isCancelled { await meet(DialTarget(nodeID)) }
        await meetHeard()
    }

    private func meet(_ target: DialTarget) async {
        guard let node, node.realmID != nil else { return }
        let present = target.nodeID.flatMap(node.connections.session(with:))
        guard present?.isErrand ?? true else { return }
        // The realm's key is proven by itself. Nobody has asked for it: who is not there is no failure of the node's.
        await traced(awaiting: "a node that may relay is connected") { try await node.connections.reach(target) }
    }

    /// Each is tried once for each time that it shows itself.
    private func meetHeard() async {
        var random = node?.connections.random ?? .system
        for addresses in heard.shuffled(using: &random).prefix(Self.perLook) where !Task.isCancelled {
            heard.removeAll { $0 == addresses }
            await meet(DialTarget(addresses: addresses))
        }
    }
}
