import DeP2PIdentity
import DeP2PReactor
import Testing

@testable import DeP2PApp

/// Whom to ask for a message, and whom else when it does not come (issue 12).
@Suite struct GossipPromisesTests {
    private let now = NetworkInstant(nanoseconds: 1_000_000_000_000)
    private let first = SHA256.hash([1])
    private let second = SHA256.hash([2])
    private let everybody = GossipPromises.Company(isHere: { _ in true }, isSending: { _ in false })

    /// Who is asked at `wake`.
    private func next(_ promises: inout GossipPromises, after delay: Duration) -> [PubSubRouter.PeerKey] {
        guard let wake = promises.wake else { return [] }
        #expect(wake == now.advanced(by: delay))
        return promises.due(now: wake, among: everybody).map(\.peer)
    }

    @Test func whoIsSlowIsNotWaitedFor() {
        var promises = GossipPromises()
        let asked = (1...4).map { promises.announced(first, by: $0, now: now) }
        #expect(asked == [true, false, false, false])
        #expect(next(&promises, after: PubSubLimits.hedgeDelay) == [2])
        let later = PubSubLimits.hedgeDelay + PubSubLimits.laterHedgeDelay
        #expect(next(&promises, after: later) == [3])
        // Who was asked first owes it still.
        let expired = promises.expired(now: now.advanced(by: PubSubLimits.followUp), among: everybody)
        #expect(expired.broken == [1] && expired.again.map(\.peer) == [4])
        promises.came(first, from: 4, isLarge: true)
        #expect(promises.count == 0)
        _ = promises.due(now: now.advanced(by: .seconds(9)), among: everybody)
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
        promises.came(first, from: 1, isLarge: true)
        _ = promises.announced(second, by: 1, mayCome: true, now: now)
        // From one of the mesh it does not come unasked.
        let isAsked = promises.announced(second, by: 2, now: now)
        #expect(isAsked)
        #expect(promises.expired(now: now.advanced(by: PubSubLimits.followUp), among: everybody).broken == [2])
    }

    /// One who answers nothing delays one message, and not each that he announces first.
    @Test func whoWasLateIsAskedLastUntilHeDelivers() {
        var promises = GossipPromises()
        _ = promises.announced(first, by: 1, now: now)
        _ = promises.announced(first, by: 2, now: now)
        #expect(next(&promises, after: PubSubLimits.hedgeDelay) == [2])
        promises.came(first, from: 2, isLarge: true)
        let late = [1, 2].map { promises.announced(second, by: $0, now: now) }
        #expect(late == [false, true])
        promises.came(second, from: 2, isLarge: true)
        // Where nobody else has one he is asked, and one that comes clears him.
        _ = promises.announced(first, by: 1, now: now)
        _ = promises.due(now: now.advanced(by: PubSubLimits.requestDelay), among: everybody)
        promises.came(first, from: 1, isLarge: true)
        let isAsked = promises.announced(second, by: 1, now: now)
        #expect(isAsked)
    }

    /// It costs next to nothing to send one of one's own when asked for it.
    @Test func somethingSmallMakesUpForNothing() {
        var promises = GossipPromises()
        _ = promises.announced(first, by: 1, now: now)
        _ = promises.announced(first, by: 2, now: now)
        _ = promises.due(now: now.advanced(by: PubSubLimits.hedgeDelay), among: everybody)
        promises.came(first, from: 1, isLarge: false)
        let isAsked = promises.announced(second, by: 1, now: now)
        #expect(!isAsked)
        let later = now.advanced(by: PubSubLimits.hedgeDelay + PubSubLimits.lateTime + .seconds(3))
        promises.came(second, from: 2, isLarge: false)
        let isForgiven = promises.announced(second, by: 1, now: later)
        #expect(isForgiven)
    }

    @Test func whoComesAgainIsStillLate() {
        let nodeID = IdentityKey.generate().nodeID
        var promises = GossipPromises()
        for peer in UInt64(1)...2 { _ = promises.announced(first, by: peer, now: now) }
        _ = promises.due(now: now.advanced(by: PubSubLimits.hedgeDelay), among: everybody)
        promises.left(1, nodeID)
        let later = now.advanced(by: .seconds(60))
        _ = promises.expired(now: later, among: everybody)
        promises.joined(9, nodeID, now: later)
        let isAsked = promises.announced(second, by: 9, now: later)
        #expect(!isAsked)
        promises.left(9, nodeID)
        let forgiven = later.advanced(by: PubSubLimits.lateTime)
        promises.joined(10, nodeID, now: forgiven)
        let isForgiven = promises.announced(SHA256.hash([3]), by: 10, now: forgiven)
        #expect(isForgiven)
    }

    /// It was lost, where nobody else announced it afterwards.
    @Test func whatCameInVainIsAskedForAgain() {
        var promises = GossipPromises()
        _ = promises.announced(first, by: 1, now: now)
        var (time, asked) = (now, 1)
        for _ in 0..<10 {
            promises.cameInVain(first, from: 1, now: time)
            time = time.advanced(by: PubSubLimits.laterHedgeDelay)
            // Who has sent it has broken nothing.
            #expect(promises.expired(now: time, among: everybody).broken.isEmpty)
            asked += promises.due(now: time, among: everybody).count
        }
        #expect(asked == PubSubLimits.attempts && promises.count == 0)
        _ = promises.announced(second, by: 1, now: time)
        _ = promises.announced(second, by: 2, now: time)
        promises.cameInVain(second, from: 1, now: time)
        let other = promises.due(now: time.advanced(by: PubSubLimits.laterHedgeDelay), among: everybody)
        #expect(other.map(\.peer) == [2], "who announced it first, of those who did not send it")
    }

    /// What is announced, sent, taken for no news, and announced again left an entry each time, for ever.
    @Test func nothingIsLookedAtTwice() {
        var promises = GossipPromises()
        for _ in 0..<1_000 {
            _ = promises.announced(first, by: 1, now: now)
            promises.came(first, from: 1, isLarge: false)
        }
        _ = promises.announced(first, by: 1, now: now)
        _ = promises.due(now: now.advanced(by: PubSubLimits.hedgeDelay), among: everybody)
        #expect(promises.count == 1 && promises.waitingCount == 1)
        _ = promises.announced(first, by: 2, now: now)
        let asked = promises.due(now: now.advanced(by: PubSubLimits.hedgeDelay * 2), among: everybody)
        #expect(asked.map(\.peer) == [2])
    }

    /// Who announce it first, however many, and send nothing: they took all places, and came back to them when they had been asked.
    @Test func noCrowdKeepsItFromBeingAskedOfTheMesh() {
        var promises = GossipPromises()
        let crowd = UInt64(100)..<150
        for peer in crowd { _ = promises.announced(first, by: peer, mayCome: true, now: now) }
        var (time, asked) = (now, [PubSubRouter.PeerKey]())
        func turn(_ delay: Duration) {
            time = time.advanced(by: delay)
            asked += promises.due(now: time, among: everybody).map(\.peer)
            for peer in crowd { _ = promises.announced(first, by: peer, mayCome: true, now: time) }
        }
        turn(PubSubLimits.requestDelay)
        // The mesh has it later than they say that they do, and says so once.
        for peer in UInt64(1)...6 { _ = promises.announced(first, by: peer, now: time) }
        for _ in 0..<7 { turn(PubSubLimits.laterHedgeDelay) }
        #expect(asked.prefix(7) == [100, 1, 2, 3, 4, 5, 6])
    }

    /// On a slow way a message takes longer than others are given; further copies would make it slower still.
    @Test func whoIsSendingIsWaitedFor() {
        var promises = GossipPromises()
        let sending = GossipPromises.Company(isHere: { _ in true }, isSending: { $0 == 1 })
        for peer in UInt64(1)...2 { _ = promises.announced(first, by: peer, now: now) }
        var (asked, broken, waits) = ([GossipPromises.Request](), Set<PubSubRouter.PeerKey>(), 0)
        for step in 1...80 {
            let time = now.advanced(by: .milliseconds(100 * step))
            asked += promises.due(now: time, among: sending)
            if step % 10 == 0 {
                let expired = promises.expired(now: time, among: sending)
                broken.formUnion(expired.broken)
                asked += expired.again
            }
            if asked.isEmpty { waits += 1 }
        }
        // It may be anything that he sends: not for ever.
        #expect((60...70).contains(waits) && asked.first?.peer == 2 && broken.contains(1))
    }
}
