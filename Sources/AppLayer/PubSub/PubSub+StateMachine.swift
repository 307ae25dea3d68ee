package import DeP2PIdentity
package import DeP2PReactor
internal import DequeModule

/// GossipSub v1.2 as a pure router: what comes in from peers and from this node goes in, what is to be sent and delivered
/// comes out.
///
/// Calling order: ``addPeer(_:_:now:)`` before anything of that peer's, ``removePeer(_:isLost:now:)`` after; between them
/// ``receive(_:from:now:)`` with each RPC. ``subscribe(_:now:)``, ``unsubscribe(_:now:)`` and ``publish(_:now:)`` at any time.
/// Each `verify` is answered by ``verified(_:isSigned:now:)``, each `judge` by ``judged(_:_:from:now:)``, in any order. What peers are told (`control`) may wait a few
/// milliseconds for more; ``wake`` says until when.
///
/// Where this differs from the specification, no peer notices: a topic of up to D_hi members has all of them in its mesh, so
/// that there is nobody to gossip to; what comes from its author himself is not passed on to those who get it from him too
/// (``ServedAuthors``), nor verified until somebody wants it, if it is not large; and large messages go to a few of its
/// author's peers at once, and to everybody else when they ask.
package struct PubSubRouter: TimedMachine {
    /// A peer for as long as it is connected.
    package typealias PeerKey = UInt64

    package enum Action {
        /// Each gets an RPC with this message.
        case send(PubSubMessage, to: [PeerKey])
        case sendRPC(PubSubOutput, to: PeerKey)
        /// For this node's own subscribers.
        case deliver(PubSubMessage)
        /// On whose account, too: each peer's have turns of their own.
        case verify(PubSubMessage, from: PeerKey)
        /// The application is asked what it thinks of it; on whose account, too.
        case judge(PubSubMessage, from: PeerKey)
        /// Its author's next is delivered as if it had been: the application does not want it.
        case withhold(PubSubMessage)
        /// A peer that has no place for this node in its mesh names others that may.
        case meet([ExchangedPeer], from: PeerKey)
    }

    /// What is known of a peer.
    package struct Introduction {
        package let nodeID: NodeID
        /// Whether this node dialled it.
        package let isOutbound: Bool
        /// Whom its address counts for; `nil` where that says nothing.
        package let subject: Subject?

        package init(nodeID: NodeID, isOutbound: Bool, subject: Subject?) {
            (self.nodeID, self.isOutbound, self.subject) = (nodeID, isOutbound, subject)
        }
    }

    /// What is looked at with each message: little, as to look at it copies it.
    struct Peer {
        let nodeID: NodeID
        let isOutbound: Bool
        /// Until when it counts as one who is sending something long.
        var sendsUntil = NetworkInstant(nanoseconds: 0)
    }

    /// On whose account a message waits.
    struct Booking {
        let peer: PeerKey
        let nodeID: NodeID
        /// Whether it came from its author, and waits for the sake of others alone.
        var isDelivered = false
    }

    /// What a peer is told with the next RPC.
    struct Output {
        var rpc = PubSubRPC()
        /// Whether it waits for nothing more.
        var isHurried = false
    }

    let ownID: NodeID
    var random: RouterRandom
    var peers: [PeerKey: Peer] = [:]
    /// What peers are subscribed to.
    var interests: [PeerKey: Set<Topic>] = [:]
    var budgets: [PeerKey: GossipBudget] = [:]
    var topics: [Topic: MeshTopic] = [:]
    var seen: SeenMessages
    var cache = MessageCache()
    var promises: GossipPromises
    var served = ServedAuthors()
    var scores: PeerScores
    var returning = ReturningPeers()
    var recalls = Recalls()
    var held = HeldElsewhere()
    /// Messages kept back for a moment.
    var deferred = DeferredMessages()
    /// Bytes of messages that are not verified, or judged, yet, and whose they are: they outlive a connection.
    var unverifiedBytes = 0
    var unverified: [NodeID: Int] = [:]
    /// Who has such messages booked, by their ids: they may be judged later than they are remembered as seen.
    var bookings: [PubSubMessage.ID: Booking] = [:]
    /// What authors have said themselves that finds no room to wait in, in the order of its coming.
    var putOff: [NodeID: Deque<PubSubMessage.ID>] = [:]
    var putOffCount = 0
    /// What is to be verified so that peers can be told of it, and of what they are told with the next heartbeat: each by
    /// itself would be more announcements than they look at.
    var toVerify: [Action] = []
    var untold: [PeerKey: [Topic: [PubSubMessage.ID]]] = [:]
    /// Peers with something to be told, in that order.
    var told: [PeerKey] = []
    private var outputs: [PeerKey: Output] = [:]
    private var controlDue: NetworkInstant?
    /// Whether so much was to be told of late that it is worth to wait for more.
    private var isBusy = false
    private var heartbeatDue: NetworkInstant
    var heartbeats: UInt64 = 0
    /// Somebody has begun or ceased to listen to something; whoever wants to know it sets it back.
    package var listenersChanged = false

    /// - Parameter seed: of what it draws; whom it grafts should be known to nobody.
    package init(ownID: NodeID, seed: UInt64, scores: ScoreParameters = ScoreParameters(), now: NetworkInstant) {
        self.ownID = ownID
        random = RouterRandom(seed: seed)
        promises = GossipPromises(seed: random.next())
        self.scores = PeerScores(scores)
        seen = SeenMessages(now: now)
        // Nodes that started together do not beat together.
        let phase = Duration.milliseconds(Int64(random.next() % 1_000))
        heartbeatDue = now.advanced(by: phase)
    }

    // MARK: What is asked of it

    /// Who is subscribed to `topic`, as far as this node is connected with them.
    package func listeners(of topic: Topic) -> [NodeID] {
        (topics[topic]?.listeners ?? []).compactMap { peers[$0]?.nodeID }
    }

    package func isSubscribed(to topic: Topic) -> Bool { topics[topic]?.isSubscribed ?? false }

    /// The members of the mesh of `topic`.
    package func mesh(of topic: Topic) -> [NodeID] { (topics[topic]?.mesh ?? []).compactMap { peers[$0]?.nodeID } }

    /// What a new peer is told first.
    package var greeting: PubSubOutput {
        var greeting = PubSubRPC()
        greeting.control.hasExtensions = true
        greeting.subscriptions = topics.filter(\.value.isSubscribed).keys
            .sorted { $0.bytes.lexicographicallyPrecedes($1.bytes) }
            .map { PubSubRPC.Subscription(topic: $0, isSubscribed: true) }
        return PubSubOutput(greeting)
    }

    // MARK: Peers

    /// - Returns: nothing to do yet: the peer is sent the ``greeting``, and says itself what it is subscribed to.
    package mutating func addPeer(_ key: PeerKey, _ introduction: Introduction, now: NetworkInstant) -> [Action] {
        guard peers[key] == nil else { return [] }
        peers[key] = Peer(nodeID: introduction.nodeID, isOutbound: introduction.isOutbound)
        budgets[key] = GossipBudget()
        promises.joined(key, introduction.nodeID, now: now)
        scores.connected(introduction.nodeID, introduction.subject, now: now)
        return []
    }

    /// - Parameter isLost: whether it may be back soon, and lacks what comes meanwhile.
    package mutating func removePeer(_ key: PeerKey, isLost: Bool, now: NetworkInstant) -> [Action] {
        guard let peer = peers.removeValue(forKey: key) else { return [] }
        let interests = interests.removeValue(forKey: key) ?? []
        (budgets[key], outputs[key], untold[key]) = (nil, nil, nil)
        if isLost { returning.left(peer.nodeID, interests, now: now) }
        for topic in interests { drop(key, from: topic) }
        scores.disconnected(peer.nodeID, now: now)
        served.forget(key)
        // Back again, it may begin with something before all are connected with it, and is known for nothing.
        served.forget(author: peer.nodeID)
        held.forget(key)
        recalls.forget(key)
        told.removeAll { $0 == key }
        for request in promises.left(key, peer.nodeID, among: company(now: now), now: now) { ask(request) }
        return takeOutput(now: now)
    }

    private mutating func drop(_ key: PeerKey, from topic: Topic) {
        listenersChanged = true
        topics[topic]?.forget(key)
        if topics[topic]?.isUnused ?? false { topics[topic] = nil }
    }

    func score(_ key: PeerKey) -> Double { peers[key].map { scores.score($0.nodeID) } ?? 0 }

    /// Takes what a peer has sent.
    package mutating func receive(_ input: PubSubInput, from key: PeerKey, now: NetworkInstant) -> [Action] {
        guard let peer = peers[key], score(key) >= scores.parameters.graylistThreshold else { return [] }
        let rpc = input.rpc
        var actions: [Action] = []
        for entry in rpc.subscriptions { hear(entry, from: key, now: now) }
        if rpc.malformed > 0 { scores.misbehaved(peer.nodeID, by: Double(rpc.malformed)) }
        for message in rpc.messages { actions += take(message, from: key, at: input.time, now: now) }
        if !rpc.control.isEmpty { actions += obey(rpc.control, from: key, now: now) }
        return actions + takeOutput(now: now)
    }

    /// A part of a long RPC has come, ``PubSubLimits/partSize`` bytes since the last.
    package mutating func receives(from key: PeerKey, now: NetworkInstant) {
        peers[key]?.sendsUntil = now.advanced(by: PubSubLimits.hedgeDelay)
    }

    /// A peer sent what is no RPC at all.
    package mutating func violated(_ key: PeerKey) {
        if let peer = peers[key] { scores.misbehaved(peer.nodeID, by: scores.parameters.behaviourThreshold) }
    }

    // MARK: Subscriptions

    package mutating func subscribe(_ topic: Topic, now: NetworkInstant) -> [Action] {
        guard !isSubscribed(to: topic) else { return [] }
        topics[topic, default: MeshTopic()].isSubscribed = true
        for key in peers.keys.sorted() {
            tell(key) { $0.subscriptions.append(.init(topic: topic, isSubscribed: true)) }
        }
        topics[topic]?.fanout = []
        maintainMesh(topic, now: now)
        return takeOutput(now: now)
    }

    package mutating func unsubscribe(_ topic: Topic, now: NetworkInstant) -> [Action] {
        guard let state = topics[topic], state.isSubscribed else { return [] }
        for key in state.mesh { prune(key, topic, for: PubSubLimits.unsubscribeBackoff, now: now) }
        topics[topic]?.isSubscribed = false
        topics[topic]?.isJudged = false
        for key in peers.keys.sorted() {
            tell(key) { $0.subscriptions.append(.init(topic: topic, isSubscribed: false)) }
        }
        if topics[topic]?.isUnused ?? false { topics[topic] = nil }
        return takeOutput(now: now)
    }

    private mutating func hear(_ entry: PubSubRPC.Subscription, from key: PeerKey, now: NetworkInstant) {
        guard let peer = peers[key] else { return }
        let topic = entry.topic
        guard entry.isSubscribed else {
            if interests[key]?.remove(topic) != nil {
                if topics[topic]?.mesh.contains(key) ?? false {
                    scores.pruned(peer.nodeID, topic)
                    // As its PRUNE says: who comes and goes is not grafted, and told so, each time.
                    topics[topic]?.back(off: peer.nodeID, for: PubSubLimits.unsubscribeBackoff, now: now)
                }
                drop(key, from: topic)
            }
            return
        }
        guard !(interests[key]?.contains(topic) ?? false) else { return }
        guard interests[key]?.count ?? 0 < PubSubLimits.topicsPerPeer else { return scores.misbehaved(peer.nodeID) }
        interests[key, default: []].insert(topic)
        topics[topic, default: MeshTopic()].listeners.append(key)
        listenersChanged = true
        guard isSubscribed(to: topic) else { return }
        growMesh(topic, now: now)
        if let since = returning.back(peer.nodeID, topic) { recall(topic, since: since, for: key) }
    }

    // MARK: Time

    package var wake: NetworkInstant? {
        // Without peers nothing has to be done in time but to forget.
        var wake = min(heartbeatDue, controlDue ?? heartbeatDue)
        if let due = deferred.wake { wake = min(wake, due) }
        if let due = promises.wake { wake = min(wake, due) }
        return wake
    }

    package mutating func timerFired(now: NetworkInstant) -> [Action] {
        var actions = forwardDeferred(now: now)
        askForAnnounced(now: now)
        if let due = controlDue, due <= now {
            controlDue = nil
            let most = told.map { outputs[$0]?.rpc.control.idontwant.count ?? 0 }.max() ?? 0
            isBusy = most >= PubSubLimits.busyControlIDs
            for key in told { outputs[key]?.isHurried = true }
        }
        if heartbeatDue <= now {
            actions += heartbeat(now: now)
            // One that comes late is not made up for.
            heartbeatDue = max(heartbeatDue.advanced(by: PubSubLimits.heartbeat), now)
        }
        return actions + takeOutput(now: now)
    }

    private mutating func heartbeat(now: NetworkInstant) -> [Action] {
        heartbeats += 1
        scores.heartbeat(now: now)
        seen.timerFired(now: now)
        held.heartbeat(heartbeats)
        for id in cache.timerFired(now: now) { seen.forgetContent(id) }
        // Where they lie: who changes what he walks over by its keys copies all of it.
        var index = budgets.startIndex
        while index != budgets.endIndex {
            budgets.values[index].heartbeat(now: now)
            budgets.formIndex(after: &index)
        }
        lookAtPromises(now: now)
        goOnRecalling()
        for topic in topics.keys.sorted(by: { $0.bytes.lexicographicallyPrecedes($1.bytes) }) {
            topics[topic]?.endBackoffs(now: now)
            if isSubscribed(to: topic) {
                maintainMesh(topic, now: now)
                if heartbeats % 60 == 0 { graftOpportunistically(topic, now: now) }
            } else if let until = topics[topic]?.fanoutUntil, until <= now {
                topics[topic]?.fanout = []
                topics[topic]?.fanoutUntil = nil
            }
            gossip(topic, now: now)
            if topics[topic]?.isUnused ?? false { topics[topic] = nil }
        }
        returning.heartbeat(now: now)
        return []
    }

    // MARK: What is told

    /// Adds to what a peer is told with the next RPC.
    ///
    /// - Parameter isHurried: whether it goes out with this very event.
    mutating func tell(_ key: PeerKey, isHurried: Bool = true, _ change: (inout PubSubRPC) -> Void) {
        guard peers[key] != nil else { return }
        if outputs[key] == nil { told.append(key) }
        change(&outputs[key, default: Output()].rpc)
        if isHurried { outputs[key]?.isHurried = true }
    }

    mutating func takeOutput(now: NetworkInstant) -> [Action] {
        guard !told.isEmpty || !toVerify.isEmpty else { return [] }
        var (actions, left) = (toVerify, [PeerKey]())
        toVerify = []
        for key in told {
            let isDue = outputs[key].map { output in
                output.isHurried || output.rpc.control.idontwant.count >= PubSubLimits.idsSent
            }
            guard let isDue else { continue }
            guard isDue, let output = outputs.removeValue(forKey: key) else {
                left.append(key)
                continue
            }
            actions.append(.sendRPC(PubSubOutput(output.rpc), to: key))
        }
        told = left
        if left.isEmpty {
            controlDue = nil
        } else if controlDue == nil {
            controlDue = now.advanced(by: isBusy ? PubSubLimits.busyControlDelay : PubSubLimits.controlDelay)
        }
        return actions
    }
}

/// An RPC as it goes out, and as it came in: what is in it is the router's own.
package struct PubSubOutput {
    let rpc: PubSubRPC

    init(_ rpc: PubSubRPC) { self.rpc = rpc }

    /// With their lengths in front: as many as its bounds make of it.
    package var frames: [[UInt8]] { rpc.encodedFrames }
}

package struct PubSubInput {
    let rpc: PubSubRPC
    /// When it came, in milliseconds since 1970; `nil` among peers whose numbers are no dates.
    let time: UInt64?

    /// - Throws: ``PubSubRPC/Violation``.
    init(_ frame: [UInt8], from sender: NodeID, at time: UInt64?) throws(PubSubRPC.Violation) {
        (rpc, self.time) = (try PubSubRPC(frame, from: sender), time)
    }

    init(_ rpc: PubSubRPC, at time: UInt64? = nil) { (self.rpc, self.time) = (rpc, time) }

    /// What another router put out, where it need not be encoded and read: in a world in memory.
    package init(_ output: PubSubOutput) { self.init(output.rpc) }

    /// The same of a message alone.
    package init(_ message: PubSubMessage) {
        var rpc = PubSubRPC()
        rpc.messages = [message]
        self.init(rpc)
    }

    /// `nil` for what is no RPC.
    package static func read(_ frame: [UInt8], from sender: NodeID, at time: UInt64? = nil) -> PubSubInput? {
        do throws(PubSubRPC.Violation) { return try PubSubInput(frame, from: sender, at: time) } catch { return nil }
    }
}
