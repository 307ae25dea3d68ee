import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import Testing

@testable import DeP2P
@testable import DeP2PSessions

@Suite struct RateWindowTests {
    private let peer = IdentityKey.generate().nodeID

    private func counted(_ bytes: UInt64) -> Bandwidth {
        var bandwidth = Bandwidth(
            BandwidthCounts(total: ConnectionTraffic(), peers: [:], forgotten: ConnectionTraffic()))
        let flow = Bandwidth.Flow(Traffic(payload: ByteTotals(sent: bytes), wire: ByteTotals(received: 2 * bytes)))
        bandwidth.total = flow
        bandwidth.peers[peer] = flow
        bandwidth.protocols["/p"] = flow
        bandwidth.paths[.relay] = flow
        return bandwidth
    }

    private func look(_ window: inout RateWindow, _ bytes: UInt64, at milliseconds: UInt64) -> Bandwidth {
        var bandwidth = counted(bytes)
        window.add(to: &bandwidth, now: NetworkInstant(nanoseconds: milliseconds * 1_000_000))
        return bandwidth
    }

    @Test func thereIsNoRateAtTheFirstLook() {
        var window = RateWindow()
        let first = look(&window, 10, at: 0)
        #expect(first.interval == nil && first.total.perSecond == nil)
        #expect(look(&window, 20, at: 999).interval == nil)
    }

    @Test func theRateIsOfTheTimeSinceALookASecondAgo() {
        var window = RateWindow()
        _ = look(&window, 1_000, at: 0)
        let second = look(&window, 3_000, at: 2_000)
        #expect(second.interval == .seconds(2))
        let rate = Traffic(payload: ByteTotals(sent: 1_000), wire: ByteTotals(received: 2_000))
        #expect(second.total.perSecond == rate && second.peers[peer]?.perSecond == rate)
        #expect(second.protocols["/p"]?.perSecond == rate && second.paths[.relay]?.perSecond == rate)
        #expect(second.paths[.direct]?.perSecond == .zero)
    }

    @Test func manyWhoLookDoNotDisturbEachOther() {
        var window = RateWindow()
        for step in 0..<100 {
            let bandwidth = look(&window, UInt64(step * 100), at: UInt64(step * 100))
            guard step >= 10 else { continue }
            #expect(bandwidth.total.perSecond?.payload.sent == 1_000)
            #expect(bandwidth.interval.map { $0 >= .seconds(1) && $0 < .seconds(2) } == true)
        }
    }

    @Test func whatWasLongAgoSaysNothingAboutNow() {
        var window = RateWindow()
        _ = look(&window, 0, at: 0)
        #expect(look(&window, 1, at: 10_001).interval == nil)
        #expect(look(&window, 501, at: 11_001).total.perSecond?.payload.sent == 500)
    }

    @Test func aPeerThatWasForgottenAndCameAnewHasNoRate() {
        var window = RateWindow()
        _ = look(&window, 1_000, at: 0)
        #expect(look(&window, 10, at: 1_000).peers[peer]?.perSecond?.payload.sent == 0)
    }
}
