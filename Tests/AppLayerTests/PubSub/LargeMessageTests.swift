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

    @Test func threeGetItOneAfterTheOtherUnaskedAndNobodyElse() {
        var network = star(of: 20)
        // Nobody hears of it otherwise, and so nobody asks.
        network.loses = { from, _, frame in from == 0 && frame.count < 1_024 }
        let before = network.copies
        network.publish(payload, topic, 1, by: 1)
        // The author's copy, and those that are passed on.
        network.run(for: .milliseconds(40))
        #expect(network.copies - before == 2)
        network.run(for: PubSubLimits.staggerDelay)
        #expect(network.copies - before == 3)
        network.run(for: .seconds(5))
        #expect(network.copies - before == 1 + PubSubLimits.eagerDegree)
    }

    @Test func everybodyGetsItOnce() {
        var network = star(of: 20)
        let before = network.copies
        network.publish(payload, topic, 1, by: 1)
        network.run(for: .seconds(2))
        for index in 2..<20 { #expect(network.nodes[index].delivered.count == 1) }
        #expect(network.copies - before == 19)
    }

    /// What node 0 says to others after node 1 has announced something: whom it asks, and whom it tells that it needs it not.
    ///
    /// - Parameter hasBroken: whether node 1 has broken a promise before.
    private func said(trusting: Bool, hasBroken: Bool = false) -> (asked: [Int], declined: [Int]) {
        var network = star(of: 20)
        if trusting {
            network.publish([1], topic, 1, by: 1)
            network.run(for: .seconds(2))
        }
        if hasBroken {
            let liar = network.nodes[1].identity.nodeID
            network.act(0) { router, _ in
                router.scores.misbehaved(liar)
                return []
            }
        }
        let message = PubSubMessage(payload, to: topic, sequence: 2, by: network.nodes[1].identity)
        var rpc = PubSubRPC()
        rpc.control.announce([message.id], in: topic)
        let (frames, other) = (rpc.encodedFrames, network.nodes[1].identity.nodeID)
        var (asked, declined) = ([Int](), [Int]())
        let heard = Heard()
        network.loses = { from, to, frame in
            guard from == 0, case .value(_, let prefix) = Varint.decode(frame) else { return false }
            heard.frames.append((to, Array(frame[prefix...])))
            return false
        }
        for frame in frames {
            guard case .value(_, let prefix) = Varint.decode(frame) else { continue }
            network.inject(Array(frame[prefix...]), from: 1, to: 0)
        }
        network.run(for: PubSubLimits.requestDelay + .milliseconds(50))
        for (to, frame) in heard.frames {
            do {
                let control = try PubSubRPC(frame, from: other).control
                if control.iwant.contains(message.id) { asked.append(to) }
                if control.idontwant.contains(message.id) { declined.append(to) }
            } catch {
                Issue.record(error)
            }
        }
        return (asked, declined)
    }

    private final class Heard {
        var frames: [(Int, [UInt8])] = []
    }

    @Test func whoIsAskedAndHasBeenGivingIsReliedOn() {
        let told = said(trusting: true)
        #expect(told.asked == [1])
        #expect(told.declined.count >= PubSubLimits.leastDegree - 1 && !told.declined.contains(1))
    }

    /// Small messages buy no second large one that is kept back.
    @Test func whoHasBrokenAPromiseKeepsItFromNobody() {
        let told = said(trusting: true, hasBroken: true)
        #expect(told.asked == [1] && told.declined.isEmpty)
    }

    @Test func whoHasGivenNothingKeepsItFromNobody() {
        let told = said(trusting: false)
        #expect(told.asked == [1] && told.declined.isEmpty)
    }
}
