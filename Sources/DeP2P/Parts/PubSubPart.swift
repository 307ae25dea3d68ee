internal import DeP2PApp
internal import DeP2PIdentity
internal import DeP2PReactor
internal import DeP2PSessions

/// Publishing and subscribing. A node that does either connects with those members whose addresses it was given, with some
/// that show themselves and with some whom others name, and again when it loses them: messages go from member to member over
/// connections that stand.
@NetworkActor
final class PubSubPart: NodePart {
    private static let firstDelay = Duration.seconds(1)
    private static let longestDelay = Duration.seconds(60)
    /// Connections with members, of whoever's making, beyond which no more are looked for: as many as a mesh has at most.
    private static let enough = 12
    /// Two that hear of each other at once do not begin at once.
    private static let longestPause = 300

    private let pubsub: PubSub
    private weak var node: Node?
    private let clock: any NetworkClock
    private let known: [NodeID]
    private let random: RandomSource
    /// Members that have shown themselves.
    private var meetings = Meetings()
    private var meetingTasks: [[Address]: Task<Void, Never>] = [:]
    private var tasks: [Task<Void, Never>] = []
    private var isStopping = false

    init(of node: Node, _ configuration: NodeConfiguration) {
        (pubsub, clock, random) = (node.pubsub, node.clock, node.connections.random)
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
        pubsub.onNamed = { [weak self] in self?.meet($0) }
    }

    private func connect() {
        guard tasks.isEmpty else { return }
        tasks = known.map { nodeID in networkTask { [weak self] in await self?.keepConnected(with: nodeID) } }
        for source in node?.connections.memberSources ?? [] {
            tasks.append(
                networkTask { [weak self] in
                    for await found in source.members() { self?.meet(found.addresses.map(\.address)) }
                })
        }
    }

    // MARK: Members that show themselves

    private func meet(_ addresses: [Address]) {
        guard !addresses.isEmpty, isWanted(addresses) else { return }
        switch meetings.begin(addresses, now: clock.now) {
        case .ignored: break
        case .later:
            _ = clock.schedule(after: Meetings.chance) { [weak self] in
                self?.meetings.waited(addresses)
                self?.meet(addresses)
            }
        case .begun(let former):
            if let former { meetingTasks.removeValue(forKey: former)?.cancel() }
            begin(addresses)
        }
    }

    private func begin(_ addresses: [Address]) {
        let pause = Duration.milliseconds(Int64(random.next() % UInt64(Self.longestPause)))
        meetingTasks[addresses] = networkTask { [weak self] in
            await self?.connect(at: addresses, after: pause)
            // Who had to give way is under way no more, and has a successor at the earliest when it has rested.
            guard !Task.isCancelled, let self else { return }
            meetings.end(addresses)
            meetingTasks[addresses] = nil
        }
    }

    private func isWanted(_ addresses: [Address]) -> Bool {
        guard let node, !isStopping else { return false }
        let members = node.connections.sessions.filter(\.isAdmitted)
        let named = addresses.lazy.compactMap(\.nodeID).first
        let isConnected = members.contains { session in
            session.remoteNodeID == named
                || session.validatedPeer.map { addresses.contains(.quic($0.ip, port: $0.port)) } ?? false
        }
        return !isConnected && members.count < Self.enough
    }

    /// Connects with whoever is there, unless it has done so meanwhile, and again when it is lost.
    private func connect(at addresses: [Address], after pause: Duration) async {
        var delay = pause
        while !Task.isCancelled {
            // Time itself: the other may connect first, or not be there yet.
            do { try await clock.sleep(for: delay) } catch { return }
            guard isWanted(addresses) else { return }
            await stayConnected(with: DialTarget(addresses: addresses)) { [weak self] in
                self?.meetings.connected(addresses)
            }
            guard let failures = meetings.tried(addresses, now: clock.now) else { return }
            delay = Self.firstDelay * (1 << failures)
        }
    }

    // MARK: Members that are known

    private func keepConnected(with nodeID: NodeID) async {
        var delay = Self.firstDelay
        while !Task.isCancelled {
            if await stayConnected(with: DialTarget(nodeID)) { delay = Self.firstDelay }
            // Time itself: who is not there now may be later.
            do { try await clock.sleep(for: delay) } catch { return }
            delay = min(delay * 2, Self.longestDelay)
        }
    }

    /// - Returns: whether there was a connection; it has ended.
    @discardableResult
    private func stayConnected(
        with target: DialTarget, onConnection: @NetworkActor () -> Void = {}
    ) async -> Bool {
        guard let node, node.realmID != nil else { return false }
        let session = await traced(awaiting: "a known member is connected") {
            try await node.connectMember(target)
        }
        guard let session else { return false }
        onConnection()
        return await traced(awaiting: "a member goes") { try await session.waitClosed() } != nil
    }

    func streamsKeptOpen(on session: Session) -> Int { pubsub.streamsKeptOpen(on: session) }

    func willStop(within grace: Duration) {
        isStopping = true
        for task in tasks + meetingTasks.values { task.cancel() }
        pubsub.finish()
    }

    func stop() async { pubsub.stop() }
}
