import DeP2PQUIC
import Testing

@testable import DeP2PReach

/// When a connection is said not to get on.
@Suite struct ProgressWatchTests {
    private typealias Counters = ProgressWatch.Counters

    private func counters(_ bytes: UInt64, _ acknowledgements: UInt64, waits: Bool, rtt: Int = 40) -> Counters {
        Counters(
            bytesReceived: bytes, acknowledgements: acknowledgements, hasUnacknowledged: waits,
            latestRTT: .milliseconds(rtt))
    }

    private func watch() -> ProgressWatch {
        ProgressWatch(keepAlive: .seconds(3), counters(0, 0, waits: false), now: .milliseconds(0))
    }

    /// What `looks` in a row find, the first half a second after the start.
    private func findings(_ watch: inout ProgressWatch, _ looks: [Counters]) -> [ProgressWatch.Finding] {
        looks.map { watch.look($0, now: watch.nextLook) }
    }

    @Test func aPathThatIsSlowGetsMoreTime() {
        var watch = watch()
        let looks = (1...5).map { _ in counters(0, 0, waits: true, rtt: 600) }
        #expect(findings(&watch, looks) == [.acknowledged, .quiet, .quiet, .quiet, .silent])
    }

    @Test func whatIsAcknowledgedGetsOn() {
        var watch = watch()
        let looks = (1...20).map { counters(UInt64($0), UInt64($0), waits: true) }
        #expect(findings(&watch, looks).allSatisfy { $0 == .acknowledged })
        #expect(findings(&watch, [counters(21, 20, waits: true, rtt: 41)]) == [.acknowledged], "a ping counts too")
    }

    @Test func whatIsSentAndNotAcknowledgedStalls() {
        var watch = watch()
        let looks = (1...6).map { counters(UInt64($0), 0, waits: true) }
        #expect(findings(&watch, looks) == [.heard, .heard, .heard, .heard, .heard, .stalled])
    }

    @Test func withNothingUnderWayOnlyTheKeepAliveIsMissed() {
        var watch = watch()
        let looks = (1...9).map { _ in counters(0, 0, waits: false) }
        let found = findings(&watch, looks)
        #expect(found.dropLast().allSatisfy { $0 == .quiet } && found.last == .silent, "\(found)")
    }

    @Test func aDeadRelayShowsSoonerWhenSomethingIsUnderWay() {
        var watch = watch()
        let looks = (1...4).map { _ in counters(0, 0, waits: true, rtt: 400) }
        #expect(findings(&watch, looks) == [.acknowledged, .quiet, .quiet, .silent])
        watch.reset(counters(9, 9, waits: true), now: .milliseconds(60_000))
        #expect(findings(&watch, [counters(9, 9, waits: true)]) == [.quiet], "another path begins anew")
    }
}
