import DeP2PIdentity
import DeP2PReactor
import Testing

@testable import DeP2PApp

/// Issue 12.1: each bound on what peers push, filled.
@Suite struct PubSubBoundsTests {
    private let topic = Topic.other
    private let now = NetworkInstant(nanoseconds: 1_000_000_000_000)
    private let author = IdentityKey.generate()
    private let everybody = GossipPromises.Company(isHere: { _ in true }, isSending: { _ in false })

    private func id(_ number: Int) -> PubSubMessage.ID {
        SHA256.hash([UInt8(number & 255), UInt8(number >> 8 & 255), UInt8(number >> 16)])
    }

    private func nodeID(_ number: Int) throws -> NodeID {
        // An identity multihash of so many bytes as a NodeID may have.
        try NodeID(bytes: [0, 36, 8, 1, 18, 32] + [UInt8](repeating: 7, count: 28) + bytes(number))
    }

    private func bytes(_ number: Int) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) } }

    @Test func aTopicIsSoLong() {
        #expect(Topic(bytes: [UInt8](repeating: 0x61, count: Topic.lengthLimit)) != nil)
        #expect(Topic(bytes: [UInt8](repeating: 0x61, count: Topic.lengthLimit + 1)) == nil)
        #expect(Topic(bytes: []) == nil && Topic(bytes: [0xff]) == nil)
    }

    @Test func soManyMessagesAreAskedForAtOnce() {
        var promises = GossipPromises()
        let taken = (0...PubSubLimits.promises).map { promises.announced(id($0), by: 1, now: now) }
        #expect(taken.count(where: \.self) == PubSubLimits.promises && taken.last == false)
        #expect(promises.count == PubSubLimits.promises)
        // Nobody sends any: each is asked for so often, and then forgotten.
        var (time, asked) = (now, 0)
        for _ in 0..<PubSubLimits.attempts {
            time = time.advanced(by: PubSubLimits.followUp)
            asked += promises.expired(now: time, among: everybody).again.count
        }
        #expect(asked == PubSubLimits.promises * (PubSubLimits.attempts - 1))
        #expect(promises.count == 0)
    }

    /// Two that announce what they have not took all places, and nobody else was asked for what he has.
    @Test func promisesOfSomeTakeNoRoomFromOthers() {
        var promises = GossipPromises()
        for number in 0..<PubSubLimits.promises { _ = promises.announced(id(number), by: UInt64(number % 2), now: now) }
        #expect(promises.count == PubSubLimits.promises)
        let fromOthers = 1_000
        for number in 0..<fromOthers {
            let isAsked = promises.announced(id(PubSubLimits.promises + number), by: 2, now: now)
            #expect(isAsked)
            // Who has more than his share gets no more.
            _ = promises.announced(id(2 * PubSubLimits.promises + number), by: UInt64(number % 2), now: now)
        }
        #expect(promises.count <= PubSubLimits.promises)
        // They were not all looked at for each.
        #expect(promises.looks <= 8 * fromOthers * 2)
        for number in 0..<fromOthers { promises.came(id(PubSubLimits.promises + number)) }
        #expect(promises.count <= PubSubLimits.promises - fromOthers + 1)
        // Who is gone owes nothing: there is room for one with less than what is a share of three.
        _ = promises.expired(now: now, among: GossipPromises.Company(isHere: { $0 == 2 }, isSending: { _ in false }))
        #expect(promises.count == 0)
        for number in 0...PubSubLimits.promises { _ = promises.announced(id(number), by: 3, now: now) }
        #expect(promises.count == PubSubLimits.promises)
    }

    @Test func whoBreaksAPromiseIsFollowedByOthersWhoAnnouncedIt() {
        var promises = GossipPromises()
        for peer in UInt64(1)...10 { _ = promises.announced(id(0), by: peer, now: now) }
        let later = now.advanced(by: PubSubLimits.followUp)
        let first = promises.expired(now: later, among: everybody)
        #expect(first.broken == [1] && first.again.count == 1)
        // Who is gone has broken nothing, and the next is asked at once.
        let gone = first.again.first?.peer
        let second = promises.expired(
            now: later, among: GossipPromises.Company(isHere: { $0 != gone }, isSending: { _ in false }))
        #expect(second.broken.isEmpty && second.again.count == 1 && second.again.first?.peer != gone)
        promises.came(id(0))
        #expect(promises.count == 0)
    }

    @Test func onePeerGetsSoManyBytesAndMessagesOnRequest() {
        var budget = GossipBudget()
        let large = PubSubMessage([UInt8](repeating: 0, count: 1_000_000), to: topic, sequence: 1, by: author)
        let messages = (0..<20).map {
            PubSubMessage([UInt8](repeating: UInt8($0), count: 1_000_000), to: topic, sequence: $0, by: author)
        }
        let given = messages.filter { budget.takeTransmission(of: $0) }.count
        #expect(given * large.encoded.count >= PubSubLimits.iwantBytesPerHeartbeat)
        #expect((given - 1) * large.encoded.count < PubSubLimits.iwantBytesPerHeartbeat)
        budget.heartbeat(now: now)
        let isGivenAgain = budget.takeTransmission(of: large)
        #expect(isGivenAgain)
    }

    @Test func returningPeersAndScoresAreBounded() throws {
        var (returning, scores) = (ReturningPeers(), PeerScores(ScoreParameters()))
        for number in 0..<2_000 {
            let peer = try nodeID(number)
            returning.left(peer, [topic], now: now)
            scores.connected(peer, nil, now: now)
            scores.misbehaved(peer, by: 20)
            scores.disconnected(peer, now: now)
        }
        #expect(returning.count == ReturningPeers.limit)
        #expect(scores.count == PeerScores.remembered)
        returning.heartbeat(now: now.advanced(by: PubSubLimits.historyTime))
        #expect(returning.count == 0)
    }

    /// Signatures that take longer than ids are remembered: two turns of them.
    @Test(arguments: [true, false]) func whatIsForgottenWhileItWaitsIsNotBookedForEver(isSigned: Bool) {
        let start = NetworkInstant(nanoseconds: 1)
        var router = PubSubRouter(ownID: IdentityKey.generate().nodeID, seed: 1, now: start)
        let (peer, author) = (IdentityKey.generate(), IdentityKey.generate())
        _ = router.addPeer(1, .init(nodeID: peer.nodeID, isOutbound: true, subject: nil), now: start)
        _ = router.subscribe(topic, now: start)
        let message = PubSubMessage([1, 2, 3], to: topic, sequence: 1, by: author)
        var rpc = PubSubRPC()
        rpc.messages = [message]
        _ = router.receive(PubSubInput(rpc), from: 1, now: start)
        #expect(router.unverifiedBytes == message.encoded.count)
        var now = start
        for _ in 0..<2 {
            now = now.advanced(by: PubSubLimits.seenTime)
            router.seen.timerFired(now: now)
        }
        #expect(router.seen[message.id] == nil)
        // The same once more waits with the first.
        _ = router.receive(PubSubInput(rpc), from: 1, now: now)
        #expect(router.unverifiedBytes == message.encoded.count)
        let actions = router.verified(message, isSigned: isSigned, now: now)
        #expect(router.unverifiedBytes == 0 && router.bookings.isEmpty)
        let isDelivered = actions.contains { if case .deliver = $0 { true } else { false } }
        #expect(isDelivered == isSigned)
    }

    /// An office shares one address: of more than ten at one each is worth less, none so little that nobody speaks with it.
    @Test func manyAtOneAddressAreWorthLess() throws {
        let parameters = ScoreParameters()
        var scores = PeerScores(parameters)
        let office = Subject(IPAddress(v4: 0x2d21_0001))
        let peers = try (0..<40).map(nodeID)
        for peer in peers.prefix(parameters.colocationThreshold) { scores.connected(peer, office, now: now) }
        scores.heartbeat(now: now)
        #expect(peers.prefix(parameters.colocationThreshold).allSatisfy { scores.score($0) == 0 })
        for peer in peers.dropFirst(parameters.colocationThreshold).prefix(2) {
            scores.connected(peer, office, now: now)
        }
        scores.heartbeat(now: now)
        #expect(peers.prefix(12).allSatisfy { scores.score($0) == -2 })
        for peer in peers.dropFirst(12) { scores.connected(peer, office, now: now) }
        scores.heartbeat(now: now)
        #expect(peers.allSatisfy { scores.score($0) == parameters.colocationFloor })
        // Elsewhere nobody is to blame for them, and with those who have gone the rest is as before.
        let other = try nodeID(99)
        scores.connected(other, Subject(IPAddress(v4: 0x2d21_0002)), now: now)
        for peer in peers.dropFirst(10) { scores.disconnected(peer, now: now) }
        scores.heartbeat(now: now)
        #expect(scores.score(other) == 0 && peers.prefix(10).allSatisfy { scores.score($0) == 0 })
    }

    /// Who names members without end, or in vain, leaves the others their turn (issue 12.1).
    @Test func noPeerNamesForAll() throws {
        var budget = PeerExchange.Budget()
        let peers = try (0..<6).map(nodeID)
        func looks(_ peer: NodeID, at time: NetworkInstant) -> Int {
            (0..<50).count { _ in budget.look(peer, now: time) }
        }
        #expect(peers.map { looks($0, at: now) } == [4, 4, 4, 4, 4, 4])
        let met = (0..<50).count { _ in budget.meet(now: now) }
        #expect(met == PubSubLimits.exchangesPerMinute)
        #expect(looks(peers[5], at: now.advanced(by: .seconds(62))) == PubSubLimits.exchangesPerPeer)
    }

    @Test func soManyAuthorsAreKnownToServeOthers() {
        var served = ServedAuthors()
        for _ in 0..<PubSubLimits.servedAuthors + 10 {
            served.shows(PubSubMessage([], to: topic, sequence: 1, by: .generate()), 1, now: now)
            #expect(served.count <= PubSubLimits.servedAuthors)
        }
        #expect(served.count == 10)
    }

    @Test func whoIsBehindIsServedAndWhoLeftOneOutIsNot() {
        var served = ServedAuthors()
        let messages = (0..<5).map { PubSubMessage([], to: topic, sequence: $0, by: author) }
        let later = now.advanced(by: PubSubLimits.forwardDelay)
        served.shows(messages[1], 1, now: later)
        #expect(served.standing(of: 1, with: author.nodeID) == .served)
        #expect(served.standing(of: 2, with: author.nodeID) == .unknown)
        #expect(served.isBehind(1, messages[2], since: now) && !served.isBehind(1, messages[2], since: later))
        served.shows(messages[3], 1, now: later)
        #expect(!served.isBehind(1, messages[2], since: now) && served.isBehind(1, messages[4], since: now))
        let other = PubSubMessage([], to: Topic(bytes: [0x70]) ?? topic, sequence: 9, by: author)
        #expect(!served.isBehind(1, other, since: now))
        for _ in 2..<PubSubLimits.provenShows {
            #expect(served.standing(of: 1, with: author.nodeID) == .served)
            served.shows(messages[4], 1, now: later)
        }
        #expect(served.standing(of: 1, with: author.nodeID) == .proven)
        served.doesNotServe(author.nodeID, 1)
        served.shows(messages[4], 1, now: later)
        #expect(served.standing(of: 1, with: author.nodeID) == .served)
        served.forget(author: author.nodeID)
        #expect(served.standing(of: 1, with: author.nodeID) == .unknown)
        served.shows(messages[4], 1, now: later)
        served.forget(1)
        #expect(served.standing(of: 1, with: author.nodeID) == .unknown && served.count == 0)
    }

    @Test func backoffsAreBounded() throws {
        var state = MeshTopic()
        for number in 0..<PubSubLimits.backoffs + 100 {
            state.back(off: try nodeID(number), for: .seconds(60), now: now)
        }
        #expect(state.backoffs.count == PubSubLimits.backoffs)
    }

    @Test func ofAPrunesPeersSomeAreRead() throws {
        var prune = PubSubControl.Prune(topic: topic)
        prune.peers = Array(
            repeating: ExchangedPeer(nodeID: [1, 2, 3], record: []),
            count: PubSubLimits.exchangedPeers + 20)
        var rpc = PubSubRPC()
        rpc.control.prune = [prune]
        var frame = rpc.encodedFrames[0]
        if case .value(_, let prefix) = Varint.decode(frame) { frame.removeFirst(prefix) }
        let read = try PubSubRPC(frame, from: author.nodeID)
        #expect(read.control.prune.first?.peers.count == PubSubLimits.exchangedPeers)
    }

    @Test func whatAllPeersHaveIsRememberedWithinBounds() {
        var held = HeldElsewhere()
        for number in 0..<PubSubLimits.heldElsewhere + 1_000 { held.note(id(number), by: UInt64(number % 8)) }
        #expect(held.count == PubSubLimits.heldElsewhere)
    }

    @Test func theCacheKeepsSoManyMessages() {
        var cache = MessageCache()
        let message = PubSubMessage([], to: topic, sequence: 1, by: author)
        for _ in 0..<PubSubLimits.historyCount + 5_000 { _ = cache.append(message, now: now) }
        #expect(cache.count == PubSubLimits.historyCount)
        #expect(cache.position(since: now) == 5_000 && cache.end == PubSubLimits.historyCount + 5_000)
    }

    @Test func ofAllPeersSoMuchWaitsForVerification() {
        var router = PubSubRouter(ownID: IdentityKey.generate().nodeID, seed: 1, now: now)
        _ = router.subscribe(topic, now: now)
        var waiting = 0
        for peer in 1...8 {
            let key = UInt64(peer)
            let introduction = PubSubRouter.Introduction(
                nodeID: IdentityKey.generate().nodeID, isOutbound: true, subject: nil)
            _ = router.addPeer(key, introduction, now: now)
            for number in 0..<5 {
                var rpc = PubSubRPC()
                let data = [UInt8](repeating: UInt8(peer), count: 1_000_000)
                rpc.messages = [PubSubMessage(data, to: topic, sequence: UInt64(number), by: author)]
                waiting += router.receive(PubSubInput(rpc), from: key, now: now).count
            }
        }
        #expect(router.unverifiedBytes <= PubSubLimits.unverifiedBytes && waiting == 16)
    }

    @Test func anAuthorHasSoManyRunsAndThereAreSoManyAuthors() {
        var order = DeliveryOrder()
        for run in 0..<10 {
            let first = UInt64(run + 1) << (MessageNumbers.bits + 8)
            let message = PubSubMessage([1], to: topic, sequence: first + 5, by: author)
            #expect(order.take(message, now: now).isEmpty)
        }
        #expect(order.heldCount == DeliveryOrder.runsPerAuthor)
        #expect(order.wake == now.advanced(by: DeliveryOrder.firstPatience))
        #expect(order.timerFired(now: now.advanced(by: .seconds(1))).count == DeliveryOrder.runsPerAuthor)
        #expect(order.heldCount == 0 && order.heldBytes == 0 && order.wake == nil)
    }

    @Test func whatWaitsForItsTurnHasSoManyBytes() {
        var order = DeliveryOrder()
        let base = UInt64(1_000) << MessageNumbers.bits
        _ = order.take(PubSubMessage([1], to: topic, sequence: base, by: author), now: now)
        for number in 0..<20 {
            let data = [UInt8](repeating: 0, count: 1_000_000)
            _ = order.take(
                PubSubMessage(data, to: topic, sequence: base + 2 + UInt64(number) * 2, by: author), now: now)
            #expect(order.heldBytes <= DeliveryOrder.heldBytes)
        }
        // Each of what is missing showed at once, and is given up at once.
        let rest = order.timerFired(now: now.advanced(by: DeliveryOrder.patience))
        #expect(rest.count == 2 * 16 && order.heldBytes == 0)
    }

    @Test func seenMessagesAndTheCacheAreBounded() {
        let now = NetworkInstant(nanoseconds: 1)
        var seen = SeenMessages(now: now, limit: 100)
        for number in 0..<1_000 {
            seen.insert(SHA256.hash([UInt8(number & 255), UInt8(number >> 8)]), SeenMessages.Record(state: .verified))
        }
        #expect(seen.count <= 200)
        // What is no longer kept is known all the same, for so long and of so many.
        let id = SHA256.hash([231, 3])
        seen.forgetContent(id)
        #expect(seen[id] == nil && seen.isPast(id))
        seen.timerFired(now: now.advanced(by: PubSubLimits.seenTime))
        #expect(seen.isPast(id))
        seen.timerFired(now: now.advanced(by: .seconds(10_000)))
        #expect(!seen.isPast(id) && seen.count == 0)
        var cache = MessageCache(byteLimit: 10_000)
        let author = IdentityKey.generate()
        var gone = 0
        for number in 0..<100 {
            gone +=
                cache.append(
                    PubSubMessage([UInt8](repeating: 0, count: 500), to: topic, sequence: UInt64(number), by: author),
                    now: now
                ).count
        }
        #expect(cache.bytes <= 10_000 && cache.count + gone == 100)
        #expect(cache.timerFired(now: now.advanced(by: .seconds(121))).count + gone == 100)
        #expect(cache.bytes == 0)
    }

    @Test func eachBoundOfAnRPCIsKept() {
        let sender = IdentityKey.generate().nodeID
        func entries(_ field: UInt8, _ count: Int, _ content: [UInt8]) -> [UInt8] {
            var bytes: [UInt8] = []
            for _ in 0..<count { ProtobufBytes.append(field, content, to: &bytes) }
            return bytes
        }
        func control(_ bytes: [UInt8]) -> [UInt8] {
            var whole: [UInt8] = []
            ProtobufBytes.append(3, bytes, to: &whole)
            return whole
        }
        let id = entries(1, PubSubLimits.idsPerRPC + 1, [UInt8](repeating: 1, count: 32))
        let tooMuch: [[UInt8]] = [
            entries(1, PubSubLimits.subscriptionsPerRPC + 1, [8, 1, 18, 1, 0x61]),
            entries(2, PubSubLimits.messagesPerRPC + 1, []),
            control(entries(3, PubSubLimits.controlsPerRPC + 1, [10, 1, 0x61])),
            control(entries(2, 1, id)), control(entries(5, 1, id)),
        ]
        for bytes in tooMuch {
            #expect(throws: PubSubRPC.Violation.self) { try PubSubRPC(bytes, from: sender) }
        }
    }
}
