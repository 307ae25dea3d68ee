import DeP2PIdentity
import DeP2PReactor
import Testing

@testable import DeP2PApp

/// What waits to be verified or judged, and what there is no room for (issue 12).
@Suite struct WaitingMessagesTests {
    private let topic = Topic.other

    /// What one member sends of others fills the room that it has; what it was asked for is not lost with that.
    @Test func whatFindsNoRoomIsAskedForWhenThereIsSome() throws {
        var router = PubSubRouter(ownID: IdentityKey.generate().nodeID, seed: 1, now: NetworkInstant(nanoseconds: 1))
        let (peer, author) = (IdentityKey.generate(), IdentityKey.generate())
        let now = NetworkInstant(nanoseconds: 1)
        _ = router.addPeer(1, .init(nodeID: peer.nodeID, isOutbound: true, subject: nil), now: now)
        _ = router.subscribe(topic, now: now)
        var rpc = PubSubRPC()
        rpc.subscriptions = [.init(topic: topic, isSubscribed: true)]
        _ = router.receive(PubSubInput(rpc), from: 1, now: now)
        let messages = (0..<5).map {
            PubSubMessage([UInt8](repeating: 0, count: 1_000_000), to: topic, sequence: $0, by: author)
        }
        let wanted = try #require(messages.last)
        rpc = PubSubRPC()
        rpc.control.announce([wanted.id], in: topic)
        _ = router.receive(PubSubInput(rpc), from: 1, now: now)
        rpc = PubSubRPC()
        rpc.messages = messages
        _ = router.receive(PubSubInput(rpc), from: 1, now: now)
        #expect(router.seen[wanted.id] == nil && router.promises.count == 1)
        let asked = messages.dropLast().map { message in
            router.verified(message, isSigned: true, now: now).contains { action in
                if case .sendRPC(let output, 1) = action { output.rpc.control.iwant == [wanted.id] } else { false }
            }
        }
        #expect(asked == [true, false, false, false], "as soon as there is room, and once")
        rpc.messages = [wanted]
        let isTaken = !router.receive(PubSubInput(rpc), from: 1, now: now).isEmpty
        #expect(isTaken && router.promises.count == 0)
    }

    /// Whose turn to be judged did not come is as if it had not come from there: another is asked.
    @Test func whatWasNotHeardIsAskedOfAnother() {
        let now = NetworkInstant(nanoseconds: 1)
        var router = PubSubRouter(ownID: IdentityKey.generate().nodeID, seed: 1, now: now)
        for key in UInt64(1)...3 {
            let nodeID = IdentityKey.generate().nodeID
            _ = router.addPeer(key, .init(nodeID: nodeID, isOutbound: true, subject: nil), now: now)
            var rpc = PubSubRPC()
            rpc.subscriptions = [.init(topic: topic, isSubscribed: true)]
            _ = router.receive(PubSubInput(rpc), from: key, now: now)
        }
        _ = router.subscribe(topic, now: now)
        router.setJudged(topic, true)
        let message = PubSubMessage([1], to: topic, sequence: 1, by: .generate())
        var rpc = PubSubRPC()
        rpc.messages = [message]
        func isJudged(_ actions: [PubSubRouter.Action], from key: UInt64) -> Bool {
            actions.contains { if case .judge(message, key) = $0 { true } else { false } }
        }
        _ = router.receive(PubSubInput(rpc), from: 1, now: now)
        #expect(isJudged(router.verified(message, isSigned: true, now: now), from: 1))
        // Who only has it has promised nothing, and may have refused it.
        var (announcement, refusal) = (PubSubRPC(), PubSubRPC())
        refusal.control.idontwant = [message.id]
        _ = router.receive(PubSubInput(refusal), from: 3, now: now)
        announcement.control.announce([message.id], in: topic)
        _ = router.receive(PubSubInput(announcement), from: 2, now: now)
        let asked = router.judged(message, nil, from: 1, now: now).contains { action in
            if case .sendRPC(let output, 2) = action { output.rpc.control.iwant == [message.id] } else { false }
        }
        #expect(asked && router.unverifiedBytes == 0)
        let late = router.timerFired(now: now.advanced(by: .milliseconds(700)))
        #expect(
            !late.contains { if case .sendRPC(let output, 3) = $0 { !output.rpc.control.iwant.isEmpty } else { false } }
        )
        _ = router.receive(PubSubInput(rpc), from: 2, now: now)
        #expect(isJudged(router.verified(message, isSigned: true, now: now), from: 2))
        // Who sends it too while it waits there has it judged on his account as well, once.
        #expect(isJudged(router.receive(PubSubInput(rpc), from: 1, now: now), from: 1))
        #expect(!isJudged(router.receive(PubSubInput(rpc), from: 1, now: now), from: 1))
    }
}
