import DeP2PIdentity
import DeP2PReactor
import Testing

@testable import DeP2PApp

/// Issue 12.1, 12.2: what a member can do to others with what it sends, and that it is no more than this.
@Suite struct PubSubHostileTests {
    private let topic = Topic.other

    /// Four that are all connected; the last is the attacker, and sends what it likes.
    private func network() -> RouterNetwork {
        var network = RouterNetwork(4)
        network.connectAll()
        network.subscribeAll(topic)
        network.run(for: .seconds(2))
        return network
    }

    private func score(_ network: RouterNetwork, of other: Int, at index: Int) -> Double {
        network.nodes[index].router.scores.score(network.nodes[other].identity.nodeID)
    }

    private func frame(_ messages: [[UInt8]] = [], _ change: (inout PubSubRPC) -> Void = { _ in }) -> [UInt8] {
        var rpc = PubSubRPC()
        change(&rpc)
        var bytes = rpc.encodedFrames.first ?? []
        if case .value(_, let prefix) = Varint.decode(bytes) { bytes.removeFirst(prefix) }
        for message in messages { ProtobufBytes.append(2, message, to: &bytes) }
        return bytes
    }

    private func forged(_ message: PubSubMessage) -> [UInt8] {
        var bytes = message.encoded
        bytes[bytes.count - 1] ^= 1
        return bytes
    }

    @Test func aForgedMessageReachesNobodyCostsItsSenderAndSuppressesNothing() {
        var network = network()
        let real = PubSubMessage([1, 2, 3], to: topic, sequence: 7, by: network.nodes[0].identity)
        network.inject(frame([forged(real)]), from: 3, to: 1)
        network.run(for: .seconds(1))
        for node in network.nodes { #expect(node.delivered.isEmpty) }
        #expect(score(network, of: 3, at: 1) < 0)
        #expect(score(network, of: 0, at: 1) >= 0)
        network.act(0) { $0.publish(real, now: $1).actions }
        network.run(for: .seconds(1))
        #expect(network.nodes[1].delivered == [real])
        #expect(network.nodes[2].delivered == [real])
    }

    @Test func whoSendsForgedMessagesIsSoonNotListenedTo() {
        var network = network()
        for number in 0..<50 {
            let message = PubSubMessage([1], to: topic, sequence: UInt64(number), by: network.nodes[0].identity)
            network.inject(frame([forged(message)]), from: 3, to: 1)
            network.run(for: .milliseconds(10))
        }
        #expect(score(network, of: 3, at: 1) < ScoreParameters().graylistThreshold)
        #expect(network.nodes[1].verifications < 10)
        network.run(for: PubSubLimits.heartbeat)
        #expect(network.nodes[1].router.mesh(of: topic).count == 2)
    }

    @Test func anotherAuthorsNumberSuppressesNothing() {
        var network = network()
        // Signed by the attacker in his own name, with the number that the author uses next.
        let own = PubSubMessage([9], to: topic, sequence: 7, by: network.nodes[3].identity)
        network.inject(frame([own.encoded]), from: 3, to: 1)
        let real = network.publish([1], topic, 7, by: 0)
        network.run(for: .seconds(1))
        #expect(network.nodes[1].delivered.contains(real))
        #expect(network.nodes[1].delivered.contains(own))
    }

    @Test func whoSaysThatHeHasAMessageKeepsItFromNobodyElse() {
        var network = network()
        let message = PubSubMessage(
            [UInt8](repeating: 1, count: 2_000), to: topic, sequence: 1, by: network.nodes[0].identity)
        for index in 0..<3 {
            network.inject(frame { $0.control.idontwant = [message.id] }, from: 3, to: index)
        }
        network.act(0) { $0.publish(message, now: $1).actions }
        network.run(for: .seconds(1))
        #expect(network.nodes[1].delivered == [message])
        #expect(network.nodes[2].delivered == [message])
    }

    @Test func oneMessageIsAskedForThreeTimes() {
        var network = network()
        let message = network.publish([UInt8](repeating: 1, count: 5_000), topic, 1, by: 0)
        network.run(for: .seconds(1))
        let before = network.copies
        for _ in 0..<100 { network.inject(frame { $0.control.iwant = [message.id] }, from: 3, to: 0) }
        network.run(for: .milliseconds(100))
        #expect(network.copies - before == PubSubLimits.retransmissions)
    }

    @Test func ofManyIdsAskedForOnlySomeAreLookedAt() {
        var budget = GossipBudget()
        #expect(budget.takeRequest(of: 8_000) == PubSubLimits.iwantIDsPerHeartbeat)
        #expect(budget.takeRequest(of: 1) == 0)
        for _ in 0..<PubSubLimits.ihavesPerHeartbeat { #expect(budget.takeAnnouncement(of: 1) == 1) }
        #expect(budget.takeAnnouncement(of: 1) == 0)
        #expect(budget.takeRefusal(of: 100_000) == PubSubLimits.idontwantIDsPerHeartbeat)
        budget.heartbeat(now: NetworkInstant(nanoseconds: 1))
        #expect(budget.takeRequest(of: 1) == 1)
        #expect(budget.takeAnnouncement(of: 10_000) == PubSubLimits.ihaveIDsPerHeartbeat)
    }

    @Test func whoAnnouncesWhatHeHasNotIsFoundOut() {
        var network = network()
        for round in 0..<20 {
            let ids = (0..<10).map { SHA256.hash([UInt8(round), UInt8($0)]) }
            network.inject(frame { $0.control.announce(ids, in: topic) }, from: 3, to: 1)
            network.run(for: .seconds(1))
        }
        #expect(score(network, of: 3, at: 1) < 0)
    }

    @Test func graftsInABackoffArePunished() {
        var network = network()
        network.act(3) { [topic] in $0.unsubscribe(topic, now: $1) }
        network.run(for: .milliseconds(100))
        network.act(3) { [topic] in $0.subscribe(topic, now: $1) }
        for _ in 0..<30 { network.inject(frame { $0.control.graft = [topic] }, from: 3, to: 1) }
        #expect(score(network, of: 3, at: 1) < ScoreParameters().graylistThreshold)
        #expect(!network.nodes[1].router.mesh(of: topic).contains(network.nodes[3].identity.nodeID))
    }

    @Test func graftsOfUnknownTopicsAreNotAnswered() throws {
        var network = network()
        let before = network.frames
        let unknown = try #require(Topic(bytes: Array("unknown".utf8)))
        for _ in 0..<100 { network.inject(frame { $0.control.graft = [unknown] }, from: 3, to: 1) }
        #expect(network.frames == before)
    }

    @Test func aPeersBackoffIsBounded() {
        var network = network()
        network.inject(frame { $0.control.prune = [.init(topic: topic, backoff: .max)] }, from: 3, to: 1)
        network.inject(frame { $0.control.prune = [.init(topic: topic, backoff: 1 << 62)] }, from: 3, to: 1)
        let until = network.nodes[1].router.topics[topic]?.backoff(
            of: network.nodes[3].identity.nodeID, now: network.now)
        #expect(until == network.now.advanced(by: PubSubLimits.longestBackoff))
    }

    @Test func aPeerIsSubscribedToSoManyTopics() {
        var network = network()
        for round in 0..<4 {
            network.inject(
                frame { rpc in
                    rpc.subscriptions = (0..<200).compactMap { number in
                        Topic(bytes: [UInt8(0x41 + round)] + Array("\(number)".utf8))
                            .map { PubSubRPC.Subscription(topic: $0, isSubscribed: true) }
                    }
                }, from: 3, to: 1)
        }
        #expect(network.nodes[1].router.topics.count <= PubSubLimits.topicsPerPeer)
        network.disconnect(1, 3)
        #expect(network.nodes[1].router.topics.count == 1)
    }

    @Test func whatPeersHaveIsRememberedWithinBounds() {
        var held = HeldElsewhere()
        for number in 0..<PubSubLimits.heldElsewherePerPeer + 100 {
            held.note(SHA256.hash([UInt8(number & 255), UInt8(number >> 8)]), by: 1)
        }
        #expect(held.count == PubSubLimits.heldElsewherePerPeer)
        held.heartbeat(2)
        held.heartbeat(4)
        #expect(held.count == 0)
    }

    @Test func messagesThatWaitForVerificationAreBounded() {
        var router = PubSubRouter(ownID: IdentityKey.generate().nodeID, seed: 1, now: NetworkInstant(nanoseconds: 1))
        let (peer, author) = (IdentityKey.generate(), IdentityKey.generate())
        let now = NetworkInstant(nanoseconds: 1)
        _ = router.addPeer(1, .init(nodeID: peer.nodeID, isOutbound: true, subject: nil), now: now)
        _ = router.subscribe(topic, now: now)
        let messages = (0..<6).map {
            PubSubMessage([UInt8](repeating: 0, count: 1_000_000), to: topic, sequence: $0, by: author)
        }
        for message in messages {
            var rpc = PubSubRPC()
            rpc.messages = [message]
            _ = router.receive(PubSubInput(rpc), from: 1, now: now)
        }
        #expect(router.unverifiedBytes <= PubSubLimits.unverifiedBytesPerPeer)
        #expect(router.unverifiedBytes > PubSubLimits.unverifiedBytesPerPeer - 1_100_000)
        for message in messages { _ = router.verified(message, isSigned: false, now: now) }
        #expect(router.unverifiedBytes == 0)
    }

    /// A member that was there some days ago, or a node that has begun anew, is given what was published then.
    @Test func whatIsOldIsNoNewsToWhoHasForgottenIt() throws {
        let (author, liar) = (IdentityKey.generate(), IdentityKey.generate())
        let (now, time) = (NetworkInstant(nanoseconds: 1_000_000_000), UInt64(1_700_000_000_000))
        var router = PubSubRouter(ownID: IdentityKey.generate().nodeID, seed: 1, now: now)
        _ = router.subscribe(topic, now: now)
        for (key, peer) in [(UInt64(1), author), (2, liar)] {
            _ = router.addPeer(key, .init(nodeID: peer.nodeID, isOutbound: true, subject: nil), now: now)
        }
        func taken(_ milliseconds: UInt64, from key: UInt64) throws -> Bool {
            let message = PubSubMessage([1], to: topic, sequence: milliseconds << MessageNumbers.bits, by: author)
            let sender = key == 1 ? author.nodeID : liar.nodeID
            let input = try #require(PubSubInput.read(frame([message.encoded]), from: sender, at: time))
            return !router.receive(input, from: key, now: now).isEmpty
        }
        #expect(try !taken(time - 86_400_000, from: 2))
        #expect(try !taken(time - PubSubLimits.newsTime - 1, from: 2))
        #expect(try !taken(time + PubSubLimits.clockSkew + 1, from: 2))
        #expect(try !taken(UInt64.max >> MessageNumbers.bits, from: 2))
        // Who passes it on may have a clock that is wrong.
        #expect(router.scores.score(liar.nodeID) == 0)
        #expect(try taken(time - PubSubLimits.newsTime, from: 2))
        #expect(try taken(time + PubSubLimits.clockSkew, from: 2))
        // He says it now.
        #expect(try taken(time - 86_400_000, from: 1))
    }

    /// Nothing is passed on before the application has said that it may be, and then to those too who asked meanwhile.
    @Test func whatIsJudgedIsNotPassedOnBefore() {
        for (verdict, score) in [(PubSubRouter.Verdict.accept, 0.0), (.ignore, 0), (.reject, -10)] {
            // A row: what 0 says reaches 2 through 1 alone, which judges.
            var network = RouterNetwork(3)
            network.connect(0, 1)
            network.connect(1, 2)
            network.subscribeAll(topic)
            network.nodes[1].router.setJudged(topic, true)
            network.verdict = { _, _ in verdict }
            network.run(for: .seconds(2))
            let message = network.publish([1, 2, 3], topic, 1, by: 0)
            network.run(for: .microseconds(1_500))
            // It has come, and is asked for: not yet.
            network.inject(frame { $0.control.iwant = [message.id] }, from: 2, to: 1)
            #expect(network.nodes[1].judgements == 1 && network.nodes[1].delivered.isEmpty)
            #expect(network.nodes[1].router.unverifiedBytes == message.encoded.count)
            network.run(for: .seconds(1))
            #expect(network.nodes[1].router.unverifiedBytes == 0)
            #expect(network.nodes[1].delivered == (verdict == .accept ? [message] : []))
            #expect(network.nodes[2].delivered == (verdict == .accept ? [message] : []))
            #expect(network.nodes[1].withheld == (verdict == .accept ? [] : [message]))
            #expect((self.score(network, of: 0, at: 1) + 9 < 0) == (score < 0))
            // Once more, and it is not asked again; a rejected one costs again.
            network.inject(frame([message.encoded]), from: 0, to: 1)
            network.run(for: .seconds(1))
            #expect(network.nodes[1].judgements == 1)
            #expect((self.score(network, of: 0, at: 1) + 30 < 0) == (score < 0))
        }
    }

    /// Others' messages are verified first: the application judges nothing that is forged.
    @Test func whatIsForgedIsNotJudged() {
        var network = network()
        network.nodes[1].router.setJudged(topic, true)
        let real = PubSubMessage([1, 2, 3], to: topic, sequence: 7, by: network.nodes[0].identity)
        network.inject(frame([forged(real)]), from: 3, to: 1)
        network.run(for: .seconds(1))
        #expect(network.nodes[1].judgements == 0 && network.nodes[1].router.unverifiedBytes == 0)
        network.inject(frame([real.encoded]), from: 2, to: 1)
        network.run(for: .seconds(1))
        #expect(network.nodes[1].judgements == 1 && network.nodes[1].delivered == [real])
        #expect(network.nodes[1].router.unverifiedBytes == 0)
    }

    /// However much of one peer's waits, another's is verified with the next batch.
    @Test func onePeersSignaturesDoNotKeepOthersWaiting() {
        var turns = PeerTurns<PubSubMessage>()
        let author = IdentityKey.generate()
        let messages = (0..<1_000).map { PubSubMessage([], to: topic, sequence: UInt64($0), by: author) }
        for message in messages.dropLast(3) { turns.add(message, from: 1) }
        for message in messages.suffix(3) { turns.add(message, from: 2) }
        let first = turns.take(256)
        #expect(first.count == 256)
        #expect(
            Array(first.prefix(6)) == [
                messages[0], messages[997], messages[1], messages[998], messages[2], messages[999],
            ])
        #expect(turns.count == 744)
        #expect(turns.take(10_000) == Array(messages[253..<997]))
        #expect(turns.count == 0 && turns.take(1).isEmpty)
    }

    /// However many have as much waiting as they may, one who has nothing waiting finds room.
    @Test func whatIsNotVerifiedYetLeavesRoomToOthers() {
        let now = NetworkInstant(nanoseconds: 1)
        var router = PubSubRouter(ownID: IdentityKey.generate().nodeID, seed: 1, now: now)
        _ = router.subscribe(topic, now: now)
        let (author, body) = (IdentityKey.generate(), [UInt8](repeating: 0, count: 500_000))
        var number: UInt64 = 0
        for key in UInt64(1)...16 {
            _ = router.addPeer(
                key, .init(nodeID: IdentityKey.generate().nodeID, isOutbound: true, subject: nil), now: now)
            for _ in 0..<16 {
                number += 1
                let message = PubSubMessage(body, to: topic, sequence: number, by: author)
                _ = router.take(message, from: key, at: nil, now: now)
            }
        }
        #expect(router.unverifiedBytes <= PubSubLimits.unverifiedBytes)
        _ = router.addPeer(99, .init(nodeID: IdentityKey.generate().nodeID, isOutbound: true, subject: nil), now: now)
        let message = PubSubMessage([1], to: topic, sequence: 0, by: author)
        #expect(router.take(message, from: 99, at: nil, now: now).count == 1)
    }

    @NetworkActor
    @Test func whatWaitsForPeersIsBoundedForEachAndForAll() {
        let room = QueueRoom()
        var queues = [Int](repeating: 0, count: 100)
        let message = 100_000
        for _ in 0..<200 {
            for peer in queues.indices where room.takes(message, behind: queues[peer]) {
                room.take(message)
                queues[peer] += message
            }
        }
        #expect(room.used == queues.reduce(0, +) && room.used <= PubSubLimits.queuedBytes)
        #expect(room.used > PubSubLimits.queuedBytes * 9 / 10)
        // However many take nothing, one who does finds room.
        #expect(room.takes(message, behind: 0))
        #expect(!room.hasRecovered())
        for peer in queues.indices { room.giveBack(queues[peer]) }
        #expect(room.used == 0 && room.hasRecovered() && !room.hasRecovered())
        #expect(room.takes(PubSubLimits.queuedBytesPerPeer, behind: 0))
        #expect(!room.takes(1, behind: PubSubLimits.queuedBytesPerPeer))
        let most = PubSubLimits.queuedControlBytes
        #expect(room.takesControl(1, behind: most - 1) && !room.takesControl(1, behind: most))
        room.take(PubSubLimits.queuedBytes + PubSubLimits.queuedControlBytes)
        #expect(!room.takesControl(1, behind: 0))
    }

    @Test func whatIsCutOffOrTurnedIsNoRPCAndNoTrap() throws {
        let identity = IdentityKey.generate()
        let message = PubSubMessage([1, 2, 3], to: topic, sequence: 5, by: identity)
        let whole = frame([message.encoded]) { rpc in
            rpc.subscriptions = [.init(topic: topic, isSubscribed: true)]
            rpc.control.announce([message.id], in: topic)
            (rpc.control.iwant, rpc.control.idontwant) = ([message.id], [message.id])
            rpc.control.prune = [
                .init(topic: topic, backoff: 5, peers: [.init(nodeID: identity.nodeID.bytes, record: [1])])
            ]
            (rpc.control.graft, rpc.control.hasExtensions) = ([topic], true)
        }
        for length in 0..<whole.count { _ = try? PubSubRPC(Array(whole[..<length]), from: identity.nodeID) }
        for index in whole.indices {
            for bit in 0..<8 {
                var bytes = whole
                bytes[index] ^= 1 << UInt8(bit)
                // Whatever it is now, reading it ends.
                _ = try? PubSubRPC(bytes, from: identity.nodeID)
            }
        }
        let read = try PubSubRPC(whole, from: identity.nodeID)
        #expect(read.messages == [message] && read.control.iwant == [message.id] && read.control.graft == [topic])
        #expect(read.control.prune.first?.peers.count == 1 && read.control.hasExtensions)
    }

    /// It was grafted each time, and told so: an RPC for two entries of its own, whether it reads them or not.
    @Test func whoComesAndGoesIsGraftedOnce() {
        let now = NetworkInstant(nanoseconds: 1_000_000_000_000)
        var router = PubSubRouter(ownID: IdentityKey.generate().nodeID, seed: 1, now: now)
        _ = router.subscribe(topic, now: now)
        let introduction = PubSubRouter.Introduction(
            nodeID: IdentityKey.generate().nodeID, isOutbound: false, subject: nil)
        _ = router.addPeer(1, introduction, now: now)
        var turn = PubSubRPC()
        turn.subscriptions = [.init(topic: topic, isSubscribed: true), .init(topic: topic, isSubscribed: false)]
        var told = 0
        for _ in 0..<500 { told += router.receive(PubSubInput(turn), from: 1, now: now).count }
        #expect(told == 1)
        #expect(router.listeners(of: topic).isEmpty && router.mesh(of: topic).isEmpty)
    }
}
