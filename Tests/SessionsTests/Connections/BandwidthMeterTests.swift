import DeP2PIdentity
import DeP2PReactor
import Testing

@testable import DeP2PQUIC
@testable import DeP2PSessions

/// What is kept of protocols and of nodes that have gone is bounded, and nothing is lost of the sums.
@Suite @NetworkActor struct BandwidthMeterTests {
    private func traffic(_ bytes: Int) -> ConnectionTraffic {
        var traffic = ConnectionTraffic()
        traffic.sent(bytes, slot: 0)
        return traffic
    }

    @Test func protocolsBeyondTheLimitAreCountedTogether() {
        let meter = BandwidthMeter()
        for number in 0..<BandwidthMeter.protocolLimit {
            meter.tally(of: "/p/\(number)").add(ByteTotals(sent: 1), over: .direct)
        }
        for number in 0..<500 { meter.tally(of: "/late/\(number)").add(ByteTotals(received: 2), over: .relay) }
        meter.nameless.add(ByteTotals(sent: 5), over: .punched)
        // Those that came in time are known still.
        meter.tally(of: "/p/0").add(ByteTotals(sent: 1), over: .direct)
        let counts = meter.counts(of: [], total: ConnectionTraffic())
        #expect(counts.protocols.count == BandwidthMeter.protocolLimit + 2)
        #expect(counts.protocols["/p/0"] == [.direct: ByteTotals(sent: 2)])
        #expect(counts.protocols[BandwidthMeter.others] == [.relay: ByteTotals(received: 1_000)])
        #expect(counts.protocols[BandwidthMeter.negotiation] == [.punched: ByteTotals(sent: 5)])
    }

    @Test func nodesBeyondTheLimitAreForgottenTheLongestGoneFirst() throws {
        let meter = BandwidthMeter()
        let nodes = (0..<BandwidthMeter.pastPeerLimit + 10).map { _ in IdentityKey.generate().nodeID }
        for (index, node) in nodes.enumerated() {
            meter.ended(node, traffic(1))
            // The first comes back again and again.
            if index > 0 { meter.ended(nodes[0], traffic(1)) }
        }
        let counts = meter.counts(of: [], total: ConnectionTraffic())
        #expect(counts.peers.count == BandwidthMeter.pastPeerLimit)
        #expect(counts.peers[nodes[0]]?.total.wire.sent == UInt64(nodes.count))
        #expect(counts.peers[nodes[1]] == nil && counts.peers[nodes[11]] != nil)
        #expect(counts.forgotten.total.wire.sent == 10)
    }
}
