import DeP2PIdentity
import DeP2PReactor
import Testing

@testable import DeP2PApp

/// Messages from 64 KiB on where more listen than all can be in one mesh: copies that nobody needs are most of what they cost
/// (issue 12).
@Suite struct LargeMessageTests {
    private let topic = Topic.other
    private let payload = [UInt8](repeating: 7, count: PubSubLimits.lazyPushSize)

    private func star(of count: Int) -> RouterNetwork {
        var network = RouterNetwork(count)
        for index in 1..<count { network.connect(index, 0) }
        network.subscribeAll(topic)
        network.run(for: .seconds(3))
        return network
    }

    @Test func itsAuthorGivesItToThreeAndNobodyElseSendsItUnasked() {
        var network = star(of: 20)
        // Nobody hears of it otherwise, and so nobody asks.
        network.loses = { _, _, frame in frame.count < 1_024 }
        let before = network.copies
        network.publish(payload, topic, 1, by: 0)
        network.run(for: .seconds(5))
        #expect(network.copies - before == PubSubLimits.eagerDegree)
    }

    @Test func everybodyGetsItOnce() {
        var network = star(of: 20)
        let before = network.copies
        network.publish(payload, topic, 1, by: 1)
        network.run(for: .seconds(2))
        for index in 2..<20 { #expect(network.nodes[index].delivered.count == 1) }
        #expect(network.copies - before == 19)
    }

    /// Or whoever has one forged by its author, on a connection of his own, would have promised it to his whole mesh.
    @Test func whatIsForgedByItsAuthorIsPromisedToNobody() {
        var network = star(of: 8)
        var bytes = PubSubMessage(payload, to: topic, sequence: 1, by: network.nodes[1].identity).encoded
        bytes[bytes.count - 1] ^= 1
        let before = network.frames
        network.inject([0x12] + Varint.encode(UInt64(bytes.count)) + bytes, from: 1, to: 0)
        network.run(for: .milliseconds(500))
        #expect(network.nodes[0].delivered.count == 1 && network.nodes[0].verifications == 1)
        for index in 2..<8 { #expect(network.nodes[index].router.promises.count == 0) }
        #expect(network.frames - before <= 7, "IDONTWANT, which is true of it too")
    }

    /// Nor by gossip, where more listen than are in one mesh: who asks gets none, and it is not the forger who pays.
    @Test func whatIsForgedByItsAuthorIsNoGossip() {
        var network = star(of: 30)
        for size in [10, 2_000, payload.count] {
            let data = [UInt8](repeating: 7, count: size)
            var bytes = PubSubMessage(data, to: topic, sequence: UInt64(size), by: network.nodes[1].identity).encoded
            bytes[bytes.count - 1] ^= 1
            network.inject([0x12] + Varint.encode(UInt64(bytes.count)) + bytes, from: 1, to: 0)
            network.run(for: .seconds(8))
        }
        let honest = network.nodes[0].identity.nodeID
        #expect(network.nodes[0].delivered.count == 3)
        for index in 2..<30 {
            #expect(network.nodes[index].router.promises.count == 0)
            #expect(network.nodes[index].router.scores.behaviour(of: honest) == 0)
        }
    }

    /// Who has begun anew knows nothing of what it has said before, and wants none of it.
    @Test func whoBeginsAnewIsNotToldOfItsOwn() {
        var network = RouterNetwork(2)
        network.connect(0, 1)
        network.subscribeAll(topic)
        network.run(for: .seconds(2))
        for number in UInt64(1)...3 { network.publish([1, 2, 3], topic, number, by: 1) }
        network.run(for: .seconds(1))
        network.disconnect(0, 1)
        let ownID = network.nodes[1].identity.nodeID
        network.nodes[1].router = PubSubRouter(ownID: ownID, seed: 9, now: network.now)
        network.connect(0, 1)
        network.act(1) { $0.subscribe(topic, now: $1) }
        network.run(for: .milliseconds(50))
        #expect(network.nodes[1].router.promises.count == 0)
        network.run(for: .seconds(15))
        #expect(network.nodes[1].router.scores.behaviour(of: network.nodes[0].identity.nodeID) == 0)
    }

    /// As many as it looks at announcements in a heartbeat were told one by one, and no more were known of.
    @Test func manyWhoseAuthorIsGoneAreStillTold() {
        var network = RouterNetwork(3)
        network.connectAll()
        network.subscribeAll(topic)
        network.run(for: .seconds(2))
        for other in 0...1 { network.disconnect(2, other) }
        for number in UInt64(1)...1_500 { network.publish([1, 2, 3], topic, number, by: 0) }
        network.run(for: .seconds(1))
        #expect(network.nodes[1].delivered.count == 1_500 && network.nodes[1].verifications == 0)
        network.connect(2, 1)
        network.run(for: .seconds(10))
        #expect(network.nodes[2].delivered.count == 1_500)
    }

    /// Of twenty at once each is announced to those who do not get it unasked.
    @Test func aBurstComesWhole() {
        var network = star(of: 8)
        for number in UInt64(1)...40 {
            network.publish(payload, topic, number, by: 0)
            network.run(for: .milliseconds(5))
        }
        network.run(for: .seconds(15))
        for index in 1..<8 { #expect(network.nodes[index].delivered.count == 40) }
    }

    /// Who announces it first and keeps it back delays it by less than half a second, and only once.
    @Test func whoKeepsItBackIsNotWaitedFor() {
        var network = star(of: 8)
        for index in 2..<8 { network.connect(index, 1) }
        network.run(for: .seconds(3))
        network.loses = { from, to, frame in from == 0 && to > 1 && frame.count > 1_024 }
        for number in UInt64(1)...2 {
            network.publish(payload, topic, number, by: 0)
            network.run(for: PubSubLimits.hedgeDelay + .milliseconds(300))
            for index in 2..<8 { #expect(network.nodes[index].delivered.count == Int(number)) }
        }
    }
}
