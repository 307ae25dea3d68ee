import DeP2PIdentity
import DeP2PReactor
import Testing

@testable import DeP2PApp

/// What comes from its author himself is delivered at once, and waits to be verified for the sake of others: it is bounded as
/// what waits to be delivered is.
@Suite struct WaitingForOthersTests {
    private let topic = Topic.other

    private func star(of count: Int) -> RouterNetwork {
        var network = RouterNetwork(count)
        for index in 1..<count { network.connect(index, 0) }
        network.subscribeAll(topic)
        network.run(for: .seconds(3))
        return network
    }

    /// More at once than one may have waiting: large ones, which others are told of, and small ones, which are sent.
    @Test(arguments: [(1_000_000, 20), (60_000, 200)]) func anAuthorHasSoMuchWaiting(_ size: Int, _ count: Int) {
        var network = star(of: 8)
        let author = network.nodes[1].identity
        for number in 1...count {
            let data = [UInt8](repeating: UInt8(number), count: size)
            let message = PubSubMessage(data, to: topic, sequence: UInt64(number), by: author)
            network.inject([0x12] + Varint.encode(UInt64(message.encoded.count)) + message.encoded, from: 1, to: 0)
        }
        #expect(network.nodes[0].delivered.count == count)
        let (first, most) = (network.nodes[0].verifications, PubSubLimits.unverifiedBytesPerPeer)
        #expect(first > 0 && first * size <= most && network.nodes[0].router.unverifiedBytes <= most)
        network.run(for: .seconds(20))
        #expect(network.nodes[0].verifications == count && network.nodes[0].delivered.count == count)
        for index in 2..<8 { #expect(network.nodes[index].delivered.count == count) }
        let router = network.nodes[0].router
        #expect(router.unverifiedBytes == 0 && router.unverified.isEmpty && router.bookings.isEmpty)
        #expect(router.putOff.isEmpty && router.putOffCount == 0)
    }

    /// What is no longer kept when its turn comes is for nobody, and is not delivered a second time.
    @Test func whatIsForgottenMeanwhileIsNotVerified() {
        let start = NetworkInstant(nanoseconds: 1_000_000_000_000)
        var router = PubSubRouter(ownID: IdentityKey.generate().nodeID, seed: 1, now: start)
        let (author, other) = (IdentityKey.generate(), IdentityKey.generate())
        for (key, peer) in [(UInt64(1), author), (2, other)] {
            _ = router.addPeer(key, .init(nodeID: peer.nodeID, isOutbound: true, subject: nil), now: start)
            var rpc = PubSubRPC()
            rpc.subscriptions = [.init(topic: topic, isSubscribed: true)]
            _ = router.receive(PubSubInput(rpc), from: key, now: start)
        }
        _ = router.subscribe(topic, now: start)
        var waiting: [PubSubMessage] = []
        var delivered = 0
        func note(_ actions: [PubSubRouter.Action]) {
            for action in actions {
                if case .verify(let message, _) = action { waiting.append(message) }
                if case .deliver = action { delivered += 1 }
            }
        }
        for number in 1...40 {
            let data = [UInt8](repeating: UInt8(number), count: 1_000_000)
            var rpc = PubSubRPC()
            rpc.messages = [PubSubMessage(data, to: topic, sequence: UInt64(number), by: author)]
            note(router.receive(PubSubInput(rpc), from: 1, now: start))
        }
        #expect(waiting.count == 4 && delivered == 40 && router.putOffCount == 36)
        // 32 MiB are kept: by now the first are not.
        for _ in 0..<40 {
            guard !waiting.isEmpty else { break }
            note(router.verified(waiting.removeFirst(), isSigned: true, now: start))
        }
        #expect(waiting.isEmpty && delivered == 40 && router.putOffCount == 0)
        #expect(router.unverifiedBytes == 0 && router.bookings.isEmpty)
    }

    @Test func whatIsKeptBackHasSoManyBytes() {
        var deferred = DeferredMessages()
        let now = NetworkInstant(nanoseconds: 1)
        let author = IdentityKey.generate()
        for number in 0..<1_000 {
            let message = PubSubMessage(
                [UInt8](repeating: 0, count: 60_000), to: topic, sequence: UInt64(number), by: author)
            if deferred.takes(message) { deferred.append(message, to: [1], isProven: number % 2 == 0, now: now) }
        }
        #expect(deferred.bytes <= PubSubLimits.deferredBytes && deferred.bytes > PubSubLimits.deferredBytes - 61_000)
        while deferred.popDue(at: now.advanced(by: .seconds(1))) != nil {}
        #expect(deferred.bytes == 0 && deferred.count == 0)
    }
}
