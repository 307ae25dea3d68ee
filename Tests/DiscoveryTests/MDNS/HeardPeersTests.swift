import DeP2PIdentity
import DeP2PReactor
import DeP2PTestSupport
import Testing

@testable import DeP2PDiscovery

/// What is remembered of peers that are heard.
@Suite struct HeardPeersTests {
    private let link = Link.ID(interface: 2, family: .v4)
    private let start = NetworkInstant(nanoseconds: 0)

    private func peer(_ name: Int, at host: UInt32) -> HeardPeer {
        HeardPeer(
            peerName: Array("peer\(name)".utf8), text: PeerText(addresses: []), link: link,
            host: IPAddress(v4: 0xc0a8_0000 + host))
    }

    @Test func oneHostDisplacesItsOwnWordsAlone() {
        var heard = HeardPeers()
        heard.hear(peer(0, at: 1), lifetime: 100, now: start)
        for name in 0..<1_000 { heard.hear(peer(name, at: 2), lifetime: 100, now: start) }
        let all = heard.all(now: start)
        #expect(all.count == 1 + HeardPeers.perHost)
        #expect(all.contains(peer(0, at: 1)) && all.contains(peer(999, at: 2)))
    }

    @Test func manyHostsDisplaceThoseWhoTellMost() {
        var heard = HeardPeers()
        for name in 0..<10 { heard.hear(peer(name, at: 1), lifetime: 100, now: start) }
        for host in 2..<2_000 { heard.hear(peer(0, at: UInt32(host)), lifetime: 100, now: start) }
        #expect(heard.all(now: start).count == HeardPeers.limit)
    }

    @Test func itCountsAsLongAsItSays() {
        var heard = HeardPeers()
        heard.hear(peer(0, at: 1), lifetime: 10, now: start)
        heard.hear(peer(1, at: 1), lifetime: .max, now: start)
        #expect(heard.all(now: start.advanced(by: .seconds(9))).count == 2)
        #expect(heard.all(now: start.advanced(by: .seconds(10))) == [peer(1, at: 1)])
        #expect(heard.all(now: start.advanced(by: .seconds(4_500))).isEmpty)
    }
}
