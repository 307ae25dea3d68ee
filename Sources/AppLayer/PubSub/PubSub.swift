package import DeP2PIdentity
internal import DeP2PQUIC
package import DeP2PReactor
package import DeP2PRealm
package import DeP2PSessions

/// `/dep2p/app/pubsub/1.0.0`: publishing to topics and subscribing to them, among the members of the realm.
///
/// A node that neither publishes nor subscribes only listens to what others say: it opens no stream of its own. From the
/// first ``subscribe(_:_:)`` or ``publish(_:to:)`` on it speaks with every member that it is connected with. When it leaves
/// its realm, subscriptions end, and nothing of that realm's is kept.
@NetworkActor
package final class PubSub {
    package nonisolated static let protocolID = "/dep2p/app/pubsub/1.0.0"
    /// A peer's streams at once: one, and the next when it changes its connection.
    private static let inboundStreams = 2
    /// How long a peer whose stream has ended is still taken to be there: another may be on its way.
    private static let streamPatience = Duration.seconds(2)
    /// How long a publisher waits for one who takes no more.
    private static let slowPatience = Duration.seconds(1)

    private let connections: Connections
    private let realm: Realm
    private let key: IdentityKey
    private let wallClock: @Sendable () -> UInt64
    private let quota = StreamQuota(limit: PubSub.inboundStreams)
    private var clock: any NetworkClock { connections.clock }
    private var driver: MachineDriver<PubSubRouter>
    private var links: [NodeID: PubSubLink] = [:]
    private var linksByKey: [PubSubRouter.PeerKey: PubSubLink] = [:]
    private var feeds: [Topic: TopicFeed] = [:]
    private var numbers: [Topic: MessageNumbers] = [:]
    private var served: [UInt64: Int] = [:]
    private var lastKey: UInt64 = 0
    private var lastSubscription: UInt64 = 0
    private let changes: Signal
    private let relief: Signal
    private let verifier: SignatureVerifier
    private let judge: TopicJudge
    private let room = QueueRoom()
    private let exchange: PeerExchange
    /// ``TopicJudge/isInline``.
    package var judgesInline: Bool {
        get { judge.isInline }
        set { judge.isInline = newValue }
    }
    /// Whether this node publishes or subscribes.
    package private(set) var isActive = false
    private var isStopped = false
    /// Called when it begins to.
    package var onActivation: (@NetworkActor () -> Void)?
    /// Called with the addresses of a member of a topic that another has named.
    package var onNamed: (@NetworkActor ([Address]) -> Void)?

    /// - Parameter wallClock: milliseconds since 1970.
    package init(
        connections: Connections, realm: Realm, key: IdentityKey, wallClock: @escaping @Sendable () -> UInt64
    ) {
        (self.connections, self.realm, self.key, self.wallClock) = (connections, realm, key, wallClock)
        driver = Self.driver(connections)
        (changes, relief) = (Signal(connections.clock), Signal(connections.clock))
        (verifier, judge) = (SignatureVerifier(), TopicJudge(clock: connections.clock))
        exchange = PeerExchange(connections: connections)
        judge.onVerdict = { [weak self] message, verdict, source in
            self?.driver.handle { $0.judged(message, verdict, from: source, now: $1) }
        }
        verifier.onResult = { [weak self] message, isSigned in
            self?.driver.handle { $0.verified(message, isSigned: isSigned, now: $1) }
        }
        take(driver)
    }

    private static func driver(_ connections: Connections) -> MachineDriver<PubSubRouter> {
        let random = connections.random
        let router = PubSubRouter(ownID: connections.localNodeID, seed: random.next(), now: connections.clock.now)
        return MachineDriver(router, clock: connections.clock)
    }

    private func take(_ driver: MachineDriver<PubSubRouter>) {
        driver.carryOut = { [weak self] actions in self?.carryOut(actions) }
        self.driver = driver
    }

    /// Serves members, and looks out for them.
    package func start() {
        connections.registry.register(
            Self.protocolID,
            deadline: .unlimited(because: "a member speaks when it has something to say; its streams are counted")
        ) { [weak self] session, stream in
            guard let self, !isStopped else { throw SessionError(.busy) }
            try await quota.run(session) { try await self.listen(to: stream, of: session) }
        }
        connections.onAdmission { [weak self] session in
            guard let self, isActive else { return }
            speak(on: session)
        }
        connections.onRealmChange { [weak self] isEntered in
            if !isEntered { self?.forget() }
        }
    }

    // MARK: The application's side

    /// Gives `handler` what members, and this node, publish to `topic` from now on.
    ///
    /// - Parameter validator: judges members' messages before anybody is given them.
    /// - Returns: what ``unsubscribe(_:_:)`` takes.
    /// - Throws: ``PubSubError`` `notMember`; `LimitExceeded`.
    package func subscribe(
        _ topic: Topic, validator: TopicValidator? = nil, _ handler: @escaping TopicHandler
    ) throws -> UInt64 {
        guard realm.id != nil, !isStopped else { throw PubSubError(.notMember, detail: "join a realm first") }
        guard feeds[topic] != nil || feeds.count < PubSubLimits.subscriptions else {
            throw LimitExceeded(name: "topics", value: feeds.count, limit: PubSubLimits.subscriptions)
        }
        activate()
        let feed = feeds[topic] ?? TopicFeed(clock: clock)
        feeds[topic] = feed
        lastSubscription += 1
        feed.add(lastSubscription, handler, validator: validator)
        driver.handle { $0.subscribe(topic, now: $1) }
        if validator != nil { driver.note { router, _ in router.setJudged(topic, true) } }
        return lastSubscription
    }

    package func unsubscribe(_ topic: Topic, _ id: UInt64) {
        guard let feed = feeds[topic] else { return }
        feed.remove(id)
        guard feed.isUnused else {
            return driver.note { router, _ in router.setJudged(topic, !feed.validators.isEmpty) }
        }
        feeds[topic] = nil
        driver.handle { $0.unsubscribe(topic, now: $1) }
    }

    /// Publishes to everybody who listens. Waits a moment where they have more than enough to take already.
    ///
    /// - Returns: the message, and how many members it was sent to.
    /// - Throws: ``PubSubError``: `notMember`, `tooLarge`; `CancellationError`.
    package func publish(_ data: [UInt8], to topic: Topic) async throws -> (message: PubSubMessage, peers: Int) {
        guard data.count <= PubSubLimits.payload else {
            throw PubSubError(.tooLarge(limit: PubSubLimits.payload), detail: "it has \(data.count)")
        }
        try await waitForRoom(topic)
        guard realm.id != nil, !isStopped else { throw PubSubError(.notMember, detail: "join a realm first") }
        activate()
        var numbers = self.numbers[topic] ?? MessageNumbers(startingAt: wallClock())
        let message = PubSubMessage(data, to: topic, sequence: numbers.take(at: wallClock()), by: key)
        // Of topics beyond these the next message begins a run.
        if self.numbers[topic] == nil, self.numbers.count >= PubSubLimits.subscriptions { self.numbers.removeAll() }
        self.numbers[topic] = numbers
        var count = 0
        driver.handle { router, now in
            let (actions, peers) = router.publish(message, now: now)
            count = peers
            return actions
        }
        feeds[topic]?.take(message)
        return (message, count)
    }

    /// Waits until so many members listen.
    ///
    /// - Returns: how many do; fewer when `deadline` has come.
    /// - Throws: `CancellationError`.
    package func waitForListeners(_ count: Int, of topic: Topic, until deadline: NetworkInstant) async throws -> Int {
        guard realm.id != nil else { throw PubSubError(.notMember, detail: "join a realm first") }
        activate()
        while listeners(of: topic).count < count, clock.now < deadline, !isStopped {
            try await changes.wait(until: deadline)
        }
        return listeners(of: topic).count
    }

    /// The members that are subscribed to `topic`, of those that this node is connected with.
    package func listeners(of topic: Topic) -> [NodeID] { driver.machine.listeners(of: topic) }

    /// The topics that this node is subscribed to, in order: how many members it is connected with are too, and how many of
    /// these it gives every message.
    package var subscriptions: [(topic: Topic, listeners: Int, mesh: Int)] {
        let topics = feeds.keys.sorted { $0.bytes.lexicographicallyPrecedes($1.bytes) }
        return topics.map { ($0, listeners(of: $0).count, driver.machine.mesh(of: $0).count) }
    }

    private func waitForRoom(_ topic: Topic) async throws {
        let deadline = clock.now.advanced(by: Self.slowPatience)
        while links.values.contains(where: \.isBacklogged), !isStopped {
            guard clock.now < deadline else {
                for link in links.values where link.isBacklogged { link.isSlow = true }
                return
            }
            try await relief.wait(until: deadline)
        }
    }

    /// From now on this node speaks.
    private func activate() {
        guard !isActive else { return }
        isActive = true
        for session in connections.sessions where session.isAdmitted { speak(on: session) }
        onActivation?()
    }

    // MARK: Peers

    /// Opens a stream to the session's peer, unless there is one that is as good.
    private func speak(on session: Session) {
        guard session.isAdmitted, session.isOpen, !session.isRetired, !isStopped else { return }
        let link = link(with: session)
        guard !link.isOpen || (link.session !== session && (link.session.isRetired || !link.session.isOpen))
        else { return }
        link.open(on: session, greeting: driver.machine.greeting.frames)
    }

    private func link(with session: Session) -> PubSubLink {
        if let link = links[session.remoteNodeID] { return link }
        lastKey += 1
        let link = PubSubLink(key: lastKey, session: session, room: room, clock: clock)
        (links[link.nodeID], linksByKey[link.key]) = (link, link)
        link.onRelief = { [weak self] _ in self?.relieved() }
        link.onCatchUp = { [weak self] link, since in
            self?.driver.handle { $0.fellBehind(link.key, since: since, now: $1) }
        }
        link.onOver = { [weak self] in self?.changes.send() }
        link.onFailure = { [weak self] link in self?.retry(link) }
        // What is on this machine, or comes through a relay, is told apart by no address.
        let subject = session.validatedPeer.flatMap { $0.ip.isLoopback ? nil : Subject($0.ip) }
        let introduction = PubSubRouter.Introduction(
            nodeID: link.nodeID, isOutbound: session.isInitiator, subject: subject)
        driver.handle { $0.addPeer(link.key, introduction, now: $1) }
        session.onEnd { [weak self] session, end in self?.ended(session, end) }
        if links.count == PubSubLimits.acquainted { exchange.acquaint(with: links.values.map(\.session)) }
        if links.count > PubSubLimits.acquainted { exchange.acquaint(with: [session]) }
        return link
    }

    private func relieved() {
        relief.send()
        if room.hasRecovered() { for link in links.valuesInOrder { link.catchUp() } }
    }

    private func ended(_ session: Session, _ end: SessionEnd) {
        guard let link = links[session.remoteNodeID] else { return }
        let other = connections.session(with: session.remoteNodeID)
        if let other, other !== session, other.isAdmitted {
            guard link.session === session else { return }
            other.onEnd { [weak self] session, end in self?.ended(session, end) }
            if isActive { speak(on: other) }
            return
        }
        let isGoodbye = [.closedByPeer(.goodbye), .closedByPeer(.leftRealm), .closedByPeer(.normal)].contains(end.cause)
        remove(link, isLost: !isGoodbye)
    }

    private func remove(_ link: PubSubLink, isLost: Bool) {
        guard links[link.nodeID] === link else { return }
        (links[link.nodeID], linksByKey[link.key]) = (nil, nil)
        link.finish()
        driver.handle { $0.removePeer(link.key, isLost: isLost, now: $1) }
        relief.send()
    }

    /// The stream broke off: another, later, if the peer is still there.
    private func retry(_ link: PubSubLink) {
        relief.send()
        _ = clock.schedule(after: link.retryDelay) { [weak self, weak link] in
            guard let self, let link, links[link.nodeID] === link, isActive, !link.isOpen,
                let session = connections.session(with: link.nodeID)
            else { return }
            speak(on: session)
        }
    }

    /// Takes what a peer says, for as long as it speaks.
    private func listen(to stream: NegotiatedStream, of session: Session) async throws {
        let link = link(with: session)
        link.inboundStreams += 1
        served[session.id, default: 0] += 1
        defer {
            link.inboundStreams -= 1
            served.decrement(session.id)
            if link.inboundStreams == 0 { watchSilence(of: link) }
        }
        if isActive { speak(on: session) }
        let reader = FrameReader(stream, limit: PubSubLimits.frame)
        reader.tellParts(of: PubSubLimits.partSize) { [driver] in driver.note { $0.receives(from: link.key, now: $1) } }
        while let frame = try await reader.next() {
            do throws(PubSubRPC.Violation) {
                let input = try PubSubInput(frame, from: link.nodeID, at: wallClock())
                driver.handle { $0.receive(input, from: link.key, now: $1) }
            } catch {
                driver.note { router, _ in router.violated(link.key) }
                throw SessionError(.violation, detail: error.reason)
            }
        }
    }

    /// Who has ended its stream and opens no other has gone, and wants nothing.
    private func watchSilence(of link: PubSubLink) {
        _ = clock.schedule(after: Self.streamPatience) { [weak self, weak link] in
            guard let self, let link, link.inboundStreams == 0, links[link.nodeID] === link else { return }
            let session = link.session
            remove(link, isLost: true)
            // It may only have lost its stream, and would take an end of this node's for its going.
            if isActive, session.isOpen { speak(on: session) }
        }
    }

    // MARK: The router's side

    private func carryOut(_ actions: [PubSubRouter.Action]) {
        for action in actions {
            switch action {
            case .send(let message, let keys):
                let chunk = Chunk(PubSubRPC.frame(of: message))
                for key in keys { linksByKey[key]?.send(chunk, isMessage: true) }
            case .sendRPC(let output, let key):
                guard let link = linksByKey[key] else { continue }
                let output = output.named { exchange.record(of: $0, for: link.session) }
                for frame in output.frames { link.send(Chunk(frame), isMessage: false) }
            case .deliver(let message): feeds[message.topic]?.take(message)
            case .withhold(let message): feeds[message.topic]?.take(message, isWithheld: true)
            case .verify(let message, let source): verifier.verify(message, from: source)
            case .judge(let message, let source):
                judge.judge(message, from: source, by: feeds[message.topic]?.validators ?? [])
            case .meet(let named, let key):
                guard let session = linksByKey[key]?.session else { continue }
                for addresses in exchange.addresses(of: named, from: session) { onNamed?(addresses) }
            }
        }
        if driver.machine.listenersChanged { noteChange() }
    }

    private func noteChange() {
        driver.note { router, _ in router.listenersChanged = false }
        changes.send()
    }

    // MARK: The end

    /// Nothing of the realm that the node leaves stays: no subscription, and no message that another realm could be told of.
    private func forget() {
        let ended = feeds
        feeds = [:]
        for link in links.values { link.abandon() }
        (links, linksByKey, numbers) = ([:], [:], [:])
        driver.stop()
        take(Self.driver(connections))
        isActive = false
        for feed in ended.values { feed.end() }
        changes.send()
        relief.send()
    }

    /// Streams on `session` that stay open for as long as the node speaks.
    package func streamsKeptOpen(on session: Session) -> Int {
        (served[session.id] ?? 0) + (links[session.remoteNodeID]?.streamsKeptOpen(on: session) ?? 0)
    }

    /// Sends what waits, and ends: who has read all of a stream ends it too.
    package func finish() {
        isStopped = true
        for link in links.values { link.finish() }
        changes.send()
        relief.send()
    }

    /// Ends as ``finish()`` does, and waits until everybody has read what was sent; for who is there and takes nothing, only
    /// for a moment.
    ///
    /// - Returns: how many of those who were sent messages have.
    /// - Throws: `CancellationError`.
    package func settle(until deadline: NetworkInstant) async throws -> Int {
        let receivers = links.values.filter { $0.sentMessages > 0 }
        finish()
        while clock.now < deadline {
            let now = clock.now
            let ends = receivers.filter { !$0.isOver }.map { $0.patienceEnd(now: now) }.filter { $0 > now }
            guard let first = ends.min() else { break }
            try await changes.wait(until: min(deadline, first))
        }
        return receivers.count(where: \.isSettled)
    }

    package func stop() {
        driver.stop()
        for feed in feeds.values { feed.end() }
        feeds = [:]
    }
}
