internal import DeP2PApp
internal import DeP2PIdentity
package import DeP2PReactor

/// One topic among many nodes in memory: the product's routers, on virtual time, with the round trips of the Internet, loss
/// and churn, but without connections and signatures.
///
/// Calling order: make it, ``run(for:)`` for as long as meshes need to form, ``publish(_:)`` and ``run(for:)``, ``figures``.
/// The same settings give the same run.
package final class TopicWorld {
    static let verificationTime: Duration = .microseconds(500)
    /// Until the others notice that a node has gone without a word.
    static let silence: Duration = .seconds(9)
    static let victims = 10

    /// One for all whom it goes to.
    final class Packet {
        let input: PubSubInput
        let payloads: Int
        let bytes: Int

        init(_ input: PubSubInput, payloads: Int, bytes: Int) {
            (self.input, self.payloads, self.bytes) = (input, payloads, bytes)
        }
    }

    enum Event {
        case arrival(Packet, key: PubSubRouter.PeerKey, from: Int, to: Int)
        case timer(node: Int, NodeID)
        case verified(PubSubMessage, node: Int, NodeID)
        case churn
        case action(() -> Void)
    }

    package let settings: TopicWorldSettings
    package private(set) var now = NetworkInstant(nanoseconds: 1_000_000_000)
    package private(set) var nodes: [TopicWorldNode] = []
    package var tally = TopicTally()
    let topic = Topic.simulated
    let trips: InternetRoundTrips
    var random: SplitMix64
    private var lastKey: PubSubRouter.PeerKey = 0
    private var events = EventBuckets<Event>()
    /// Messages that nobody has signed.
    var forged: Set<PubSubMessage.ID> = []
    var isAttacking = false

    package init(_ settings: TopicWorldSettings, trips: InternetRoundTrips) {
        (self.settings, self.trips) = (settings, trips)
        random = SplitMix64(seed: settings.seed)
        isAttacking = ![.flash, .covertFlash].contains(settings.attack)
        for index in 0..<settings.nodes { nodes.append(make(index, conduct(index))) }
        for node in nodes where !(node.isAttacker && settings.attack == .flash) { join(node) }
        if settings.churn > 0 { schedule(.churn, after: churnInterval) }
        if settings.attack != .none { prepareAttack() }
    }

    private func conduct(_ index: Int) -> TopicWorldNode.Conduct {
        if index < settings.publishers { return .publisher }
        if settings.attack == .eclipse, index < settings.publishers + Self.victims { return .victim }
        return settings.attack != .none && random.unit() < settings.attackers ? .attacker : .honest
    }

    // MARK: Time

    func schedule(_ event: Event, after delay: Duration) { events.insert(event, at: now.advanced(by: delay)) }

    package func schedule(after delay: Duration, _ action: @escaping () -> Void) {
        schedule(.action(action), after: delay)
    }

    package func run(for duration: Duration) {
        let end = now.advanced(by: duration)
        while let (time, event) = events.pop(until: end) {
            now = max(now, time)
            handle(event)
        }
        now = end
    }

    private func handle(_ event: Event) {
        tally.events += 1
        switch event {
        case .arrival(let packet, let key, let from, let to): arrive(packet, key: key, from: from, to: to)
        case .timer(let index, let nodeID):
            // One that was set before an earlier one is none any more.
            let node = nodes[index]
            guard node.isUp, node.nodeID == nodeID, node.wakesAt <= now else { return }
            node.wakesAt = .distantFuture
            carryOut(node.router.timerFired(now: now), at: node)
        case .verified(let message, let index, let nodeID):
            let node = nodes[index]
            guard node.isUp, node.nodeID == nodeID else { return }
            let isSigned = !forged.contains(message.id)
            carryOut(node.router.verified(message, isSigned: isSigned, now: now), at: node)
        case .churn:
            replaceOne()
            schedule(.churn, after: churnInterval)
        case .action(let action): action()
        }
    }

    // MARK: Nodes

    private var churnInterval: Duration { .seconds(600 / (settings.churn * Double(settings.nodes))) }

    private func make(_ index: Int, _ conduct: TopicWorldNode.Conduct) -> TopicWorldNode {
        let place = trips.place(using: &random)
        var key: IdentityKey?
        if conduct == .publisher { key = .generate(from: RandomSource(replaying: SplitMix64(seed: random.next()))) }
        return TopicWorldNode(
            index: index, nodeID: key?.nodeID ?? nodeID(), key: key, conduct: conduct, place: place,
            subject: Subject(address(of: conduct, index)), seed: random.next(), now: now)
    }

    /// One that nobody has to be: its name is a key's, which nobody has.
    private func nodeID() -> NodeID {
        while true {
            // The protobuf of an Ed25519 key in an identity multihash: it is of the right form.
            if let nodeID = try? NodeID(bytes: [0, 36, 8, 1, 0x12, 32] + random.bytes(32)) { return nodeID }
        }
    }

    private func address(of conduct: TopicWorldNode.Conduct, _ index: Int) -> IPAddress {
        let isShared = conduct == .attacker && settings.attack == .colocation
        return IPAddress(v4: isShared ? 0x2d00_0001 : 0x2e00_0001 + UInt32(index) << 8)
    }

    /// It subscribes, and connects with some that are there.
    func join(_ node: TopicWorldNode) {
        node.joinedAt = now
        carryOut(node.router.subscribe(topic, now: now), at: node)
        // So that each node has more of those who are at one address than an office may have.
        let isCrowd = node.isAttacker && settings.attack == .colocation
        for _ in 0..<settings.dials * (isCrowd ? 6 : 1) { dialSomebody(node) }
    }

    func dialSomebody(_ node: TopicWorldNode) {
        for _ in 0..<20 {
            let other = nodes[Int(random.next() % UInt64(nodes.count))]
            guard other !== node, other.isUp, !node.links.values.contains(where: { $0.other == other.index }) else {
                continue
            }
            return connect(node, other)
        }
    }

    func connect(_ node: TopicWorldNode, _ other: TopicWorldNode) {
        lastKey += 1
        let trip = trips.median(node.place, other.place).clampedNanoseconds
        for (own, far, isOutbound) in [(node, other, true), (other, node, false)] {
            own.links[lastKey] = TopicWorldNode.Link(other: far.index, roundTrip: trip, lastArrival: now)
            let introduction = PubSubRouter.Introduction(
                nodeID: far.nodeID, isOutbound: isOutbound, subject: far.subject)
            carryOut(own.router.addPeer(lastKey, introduction, now: now), at: own)
        }
        for own in [node, other] { send(own.router.greeting, from: own, over: lastKey) }
    }

    /// One goes, every other time without a word, and a new one comes in its place.
    private func replaceOne() {
        let first = settings.publishers + Self.victims
        let index = first + Int(random.next() % UInt64(max(settings.nodes - first, 1)))
        guard index < nodes.count, !nodes[index].isAttacker else { return }
        let old = nodes[index]
        let isCrash = random.next() & 1 == 0
        old.isUp = false
        nodes[index] = make(index, .honest)
        for key in old.keysInOrder {
            guard let other = old.links[key].map({ nodes[$0.other] }) else { continue }
            schedule(after: isCrash ? Self.silence : .milliseconds(50)) { [self] in
                lose(key, of: other, isLost: isCrash)
            }
        }
        join(nodes[index])
    }

    private func lose(_ key: PubSubRouter.PeerKey, of node: TopicWorldNode, isLost: Bool) {
        guard node.isUp, node.links.removeValue(forKey: key) != nil else { return }
        carryOut(node.router.removePeer(key, isLost: isLost, now: now), at: node)
        if node.links.count < settings.dials { dialSomebody(node) }
    }

    // MARK: Carrying out

    func carryOut(_ actions: [PubSubRouter.Action], at node: TopicWorldNode) {
        for action in actions {
            switch action {
            case .send(let message, let keys):
                guard passesOn(message, node) else { continue }
                let packet = Packet(PubSubInput(message), payloads: 1, bytes: message.frameCount)
                for key in keys { send(packet, from: node, over: key) }
            case .sendRPC(let output, let key): send(output, from: node, over: key)
            case .deliver(let message): tally.delivered(message, to: node, now: now)
            case .verify(let message, _):
                schedule(.verified(message, node: node.index, node.nodeID), after: Self.verificationTime)
            case .judge, .withhold, .meet: break
            }
        }
        guard node.isUp, let wake = node.nextWake, wake < node.wakesAt else { return }
        node.wakesAt = wake
        events.insert(.timer(node: node.index, node.nodeID), at: max(wake, now))
    }

    private func send(_ output: PubSubOutput, from node: TopicWorldNode, over key: PubSubRouter.PeerKey) {
        let bytes = output.frames.reduce(0) { $0 + $1.count }
        send(Packet(PubSubInput(output), payloads: 0, bytes: bytes), from: node, over: key)
    }

    func send(_ packet: Packet, from node: TopicWorldNode, over key: PubSubRouter.PeerKey) {
        guard var link = node.links[key] else { return }
        tally.sent(packet.bytes, by: node)
        let start = max(node.sendsUntil, now).nanoseconds
        let sent = start + UInt64(Double(packet.bytes) / settings.uplink * 1e9)
        node.sendsUntil = NetworkInstant(nanoseconds: sent)
        let flight = InternetRoundTrips.flight(link.roundTrip, loss: settings.loss, using: &random)
        link.lastArrival = max(link.lastArrival, NetworkInstant(nanoseconds: sent + flight))
        node.links[key] = link
        events.insert(.arrival(packet, key: key, from: node.index, to: link.other), at: link.lastArrival)
    }

    private func arrive(_ packet: Packet, key: PubSubRouter.PeerKey, from: Int, to: Int) {
        let node = nodes[to]
        guard node.isUp, node.links[key]?.other == from, takes(packet.payloads, node) else { return }
        tally.arrived(packet.payloads, at: node)
        carryOut(node.router.receive(packet.input, from: key, now: now), at: node)
    }

    // MARK: Publishing

    /// Has one of the publishers publish.
    package func publish(_ number: Int) {
        let node = nodes[number % settings.publishers]
        guard let key = node.key else { return }
        node.sequence += 1
        var body = [UInt8](repeating: 0, count: settings.size)
        for (place, byte) in withUnsafeBytes(of: number, Array.init).enumerated() where place < body.count {
            body[place] = byte
        }
        let message = PubSubMessage(body, to: topic, sequence: node.sequence, by: key)
        tally.published(message, by: node, now: now)
        carryOut(node.router.publish(message, now: now).actions, at: node)
    }
}

extension Topic {
    static let simulated: Topic = {
        guard let topic = Topic(bytes: Array("simulated".utf8)) else { preconditionFailure("it is a topic's name") }
        return topic
    }()
}
