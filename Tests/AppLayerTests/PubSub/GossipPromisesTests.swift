import DeP2PIdentity
import DeP2PReactor
import Testing

@testable import DeP2PApp

/// Whom to ask for a message, and whom else when it does not come (issue 12).
@Suite struct GossipPromisesTests {
    private let now = NetworkInstant(nanoseconds: 1_000_000_000_000)
    private let first = SHA256.hash([1])
    private let second = SHA256.hash([2])
    private let isHere = { (_: PubSubRouter.PeerKey) in true }

    /// Who is asked at `wake`.
    private func next(_ promises: inout GossipPromises, after delay: Duration) -> [PubSubRouter.PeerKey] {
        guard let wake = promises.wake else { return [] }
        #expect(wake == now.advanced(by: delay))
        return promises.due(now: wake, isHere: isHere).map(\.peer)
    }

    @Test func whoIsSlowIsNotWaitedFor() {
        var promises = GossipPromises()
        let asked = (1...4).map { promises.announced(first, by: $0, now: now) }
        #expect(asked == [true, false, false, false])
        #expect(next(&promises, after: PubSubLimits.hedgeDelay) == [2])
        let later = PubSubLimits.hedgeDelay + PubSubLimits.laterHedgeDelay
        #expect(next(&promises, after: later) == [3])
        // Who was asked first owes it still.
        let expired = promises.expired(now: now.advanced(by: PubSubLimits.followUp), isHere: isHere)
        #expect(expired.broken == [1] && expired.again.map(\.peer) == [4])
        promises.came(first, from: 4)
        #expect(promises.count == 0)
        _ = promises.due(now: now.advanced(by: .seconds(9)), isHere: isHere)
        #expect(promises.wake == nil)
    }

    @Test func whoElseHasItIsAskedAsSoonAsThereIsSomebody() {
        var promises = GossipPromises()
        _ = promises.announced(first, by: 1, now: now)
        #expect(next(&promises, after: PubSubLimits.hedgeDelay).isEmpty)
        _ = promises.announced(first, by: 2, now: now)
        #expect(next(&promises, after: PubSubLimits.hedgeDelay * 2) == [2])
    }

    @Test func whatMayComeIsAskedForLater() {
        var promises = GossipPromises()
        let asked = [1, 2].map { promises.announced(first, by: $0, mayCome: true, now: now) }
        #expect(asked == [false, false])
        #expect(next(&promises, after: PubSubLimits.requestDelay) == [1])
        promises.came(first, from: 1)
        _ = promises.announced(second, by: 1, mayCome: true, now: now)
        // From one of the mesh it does not come unasked.
        let isAsked = promises.announced(second, by: 2, now: now)
        #expect(isAsked)
        #expect(promises.expired(now: now.advanced(by: PubSubLimits.followUp), isHere: isHere).broken == [2])
    }

    /// One who answers nothing delays one message, and not each that he announces first.
    @Test func whoWasLateIsAskedLastUntilHeDelivers() {
        var promises = GossipPromises()
        _ = promises.announced(first, by: 1, now: now)
        _ = promises.announced(first, by: 2, now: now)
        #expect(next(&promises, after: PubSubLimits.hedgeDelay) == [2])
        promises.came(first, from: 2)
        let late = [1, 2].map { promises.announced(second, by: $0, now: now) }
        #expect(late == [false, true])
        promises.came(second, from: 2)
        // Where nobody else has one he is asked, and one that comes clears him.
        _ = promises.announced(first, by: 1, now: now)
        _ = promises.due(now: now.advanced(by: PubSubLimits.requestDelay), isHere: isHere)
        promises.came(first, from: 1)
        let isAsked = promises.announced(second, by: 1, now: now)
        #expect(isAsked)
        // What others may keep from being asked for is bounded.
        for peer in UInt64(10)...100 { _ = promises.announced(second, by: peer, now: now) }
        var others = 0
        for step in 1...200 {
            others += promises.due(now: now.advanced(by: .milliseconds(100 * step)), isHere: isHere).count
        }
        #expect(others == 8)
    }
}
