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

    private func company(
        without gone: Set<UInt64> = [], sending: Set<UInt64> = []
    ) -> GossipPromises.Company {
        GossipPromises.Company(isHere: { !gone.contains($0) }, isSending: { sending.contains($0) })
    }

    /// Who is asked until `end` or until it is given up, and who is charged, looked at every 100 ms.
    private func run(
        _ promises: inout GossipPromises, from start: NetworkInstant? = nil, for time: Duration,
        among company: GossipPromises.Company? = nil,
        _ event: (inout GossipPromises, NetworkInstant) -> Void = { _, _ in }
    ) -> (asked: [(peer: UInt64, after: Duration)], charged: [UInt64]) {
        var (asked, charged) = ([(peer: UInt64, after: Duration)](), [UInt64]())
        let start = start ?? now
        for step in 1...Int(time / .milliseconds(100)) {
            let after = Duration.milliseconds(100 * step)
            let now = start.advanced(by: after)
            asked += promises.due(now: now, among: company ?? everybody).map { ($0.peer, after) }
            if step % 10 == 0 {
                let expired = promises.expired(now: now, among: company ?? everybody)
                asked += expired.again.map { ($0.peer, after) }
                charged += expired.broken.sorted()
            }
            event(&promises, now)
        }
        return (asked, charged)
    }

    @Test func whoIsSlowIsNotWaitedFor() {
        var promises = GossipPromises()
        let asked = (1...4).map { promises.announced(first, by: $0, now: now) }
        #expect(asked == [true, false, false, false])
        let later = run(&promises, for: .milliseconds(1_300))
        #expect(later.asked.map(\.after) == [.milliseconds(400), .milliseconds(1_200)])
        #expect(Set(later.asked.map(\.peer)).isSubset(of: [2, 3, 4]) && later.asked[0].peer != later.asked[1].peer)
        promises.came(first)
        #expect(promises.count == 0)
        _ = promises.due(now: now.advanced(by: .seconds(9)), among: everybody)
        #expect(promises.wake == nil)
    }

    /// Each who was asked and let three seconds pass, while nobody else sent it.
    @Test func whoIsAskedAndSendsNothingIsCharged() {
        var promises = GossipPromises()
        for peer in UInt64(1)...3 { _ = promises.announced(first, by: peer, now: now) }
        let all = run(&promises, for: .seconds(4))
        #expect(all.charged.first == 1)
        let later = run(&promises, from: now.advanced(by: .seconds(4)), for: .seconds(20))
        #expect(Set(all.charged + later.charged) == [1, 2, 3])
        // Where nobody else has it those who had been asked are asked again, so often.
        #expect(all.asked.count + later.asked.count == 2 + PubSubLimits.attempts - 1 && promises.count == 0)
    }

    @Test func whoElseHasItIsAskedAsSoonAsThereIsSomebody() {
        var promises = GossipPromises()
        _ = promises.announced(first, by: 1, now: now)
        #expect(run(&promises, for: .milliseconds(500)).asked.isEmpty)
        _ = promises.announced(first, by: 2, now: now)
        let asked = promises.due(
            now: now.advanced(by: PubSubLimits.hedgeDelay * 2 + .milliseconds(100)), among: everybody)
        #expect(asked.map(\.peer) == [2])
    }

    @Test func whatMayComeIsAskedForLater() {
        var promises = GossipPromises()
        let asked = [1, 2].map { promises.announced(first, by: $0, mayCome: true, now: now) }
        #expect(asked == [false, false])
        let later = promises.due(now: now.advanced(by: PubSubLimits.requestDelay), among: everybody)
        #expect(later.count == 1 && (1...2).contains(later[0].peer))
        promises.came(first)
        _ = promises.announced(second, by: 1, mayCome: true, now: now)
        // From one of the mesh it does not come unasked.
        let isAsked = promises.announced(second, by: 2, now: now)
        #expect(isAsked)
        #expect(promises.expired(now: now.advanced(by: PubSubLimits.followUp), among: everybody).broken == [2])
    }

    // MARK: Late

    /// One who answers nothing delays one message, and not each that he announces first.
    @Test func whoWasLateIsAskedLast() {
        var promises = GossipPromises()
        for peer in UInt64(1)...2 { _ = promises.announced(first, by: peer, now: now) }
        #expect(run(&promises, for: .milliseconds(400)).asked.map(\.peer) == [2])
        promises.came(first)
        let asked = [1, 2].map { promises.announced(second, by: $0, now: now) }
        #expect(asked == [false, true])
        promises.came(second)
        // Where nobody else has one he is asked, and for what he sends then he is not asked first: it may be his own.
        _ = promises.announced(first, by: 1, now: now)
        #expect(promises.due(now: now.advanced(by: PubSubLimits.requestDelay), among: everybody).map(\.peer) == [1])
        promises.came(first)
        let isAsked = promises.announced(second, by: 1, now: now)
        #expect(!isAsked)
        promises.came(second)
        let isForgiven = promises.announced(
            second, by: 1, now: now.advanced(by: PubSubLimits.hedgeDelay + PubSubLimits.lateTime))
        #expect(isForgiven)
    }

    @Test func whoComesAgainIsStillLate() {
        let nodeID = IdentityKey.generate().nodeID
        var promises = GossipPromises()
        for peer in UInt64(1)...2 { _ = promises.announced(first, by: peer, now: now) }
        _ = promises.due(now: now.advanced(by: PubSubLimits.hedgeDelay), among: everybody)
        _ = promises.left(1, nodeID, among: company(without: [1]), now: now)
        let later = now.advanced(by: .seconds(60))
        _ = promises.expired(now: later, among: everybody)
        promises.joined(9, nodeID, now: later)
        let isAsked = promises.announced(second, by: 9, now: later)
        #expect(!isAsked)
        _ = promises.left(9, nodeID, among: company(without: [9]), now: later)
        let forgiven = later.advanced(by: PubSubLimits.lateTime)
        promises.joined(10, nodeID, now: forgiven)
        let isForgiven = promises.announced(SHA256.hash([3]), by: 10, now: forgiven)
        #expect(isForgiven)
    }

    /// He was asked first each time, and nobody knew him.
    @Test func whoLeavesBeforeHeIsLateIsLate() {
        let nodeID = IdentityKey.generate().nodeID
        var promises = GossipPromises()
        for peer in UInt64(1)...2 { _ = promises.announced(first, by: peer, now: now) }
        let others = promises.left(1, nodeID, among: company(without: [1]), now: now)
        #expect(others == [.init(id: first, peer: 2)], "at once")
        promises.joined(3, nodeID, now: now)
        let isAsked = promises.announced(second, by: 3, now: now)
        #expect(!isAsked)
    }

    // MARK: Crowds

    /// What is announced, sent, taken for no news, and announced again left an entry each time, for ever.
    @Test func nothingIsLookedAtTwice() {
        var promises = GossipPromises()
        for _ in 0..<1_000 {
            _ = promises.announced(first, by: 1, now: now)
            promises.came(first)
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
        let begun = promises.due(now: now.advanced(by: PubSubLimits.requestDelay), among: everybody)
        #expect(begun.count == 1)
        // The mesh has it later than they say that they do, and says so once.
        let start = now.advanced(by: PubSubLimits.requestDelay)
        for peer in UInt64(1)...6 { _ = promises.announced(first, by: peer, now: start) }
        let asked = run(&promises, from: start, for: .seconds(5)) { promises, now in
            for peer in crowd { _ = promises.announced(first, by: peer, mayCome: true, now: now) }
        }.asked
        #expect(Set(asked.prefix(6).map(\.peer)) == Set(1...6))
    }

    /// As many who are of the mesh themselves, of one topic or another, announce it before those who have it.
    @Test func noCrowdWithinTheMeshKeepsItFromBeingAskedOfTheRest() {
        for size in [3, 13, 40] {
            var promises = GossipPromises(seed: UInt64(size))
            for peer in 0..<UInt64(size) { _ = promises.announced(first, by: 100 + peer, now: now) }
            for peer in UInt64(1)...3 { _ = promises.announced(first, by: peer, now: now) }
            let all = run(&promises, for: .seconds(60))
            #expect(Set(all.asked.map(\.peer)).isSuperset(of: 1...3))
        }
    }

    // MARK: Sending

    /// On a slow way a message takes longer than others are given; further copies would make it slower still.
    @Test func whoIsSendingIsWaitedFor() {
        var promises = GossipPromises()
        for peer in UInt64(1)...2 { _ = promises.announced(first, by: peer, now: now) }
        let all = run(&promises, for: .seconds(10), among: company(sending: [1]))
        // It may be anything that he sends: not for ever. But he is not charged with it yet.
        #expect(all.asked.first?.peer == 2 && (.seconds(6) ... .seconds(7)).contains(all.asked[0].after))
        #expect(all.charged == [2])
        let later = run(
            &promises, from: now.advanced(by: .seconds(10)), for: .seconds(30), among: company(sending: [1]))
        #expect(later.charged.contains(1))
    }

    /// Somebody who sends something else for as long delays one message, once.
    @Test func whoSendsSomethingElseIsWaitedForOnce() {
        var promises = GossipPromises()
        for id in [first, second] {
            for peer in UInt64(1)...2 { _ = promises.announced(id, by: peer, now: now) }
            let asked = run(&promises, for: .seconds(8), among: company(sending: [1])).asked
            if id == first {
                #expect(asked.first?.peer == 2)
            } else {
                #expect(asked.isEmpty || asked[0].after < .seconds(1))
            }
            promises.came(id)
        }
        let isAsked = promises.announced(SHA256.hash([3]), by: 1, now: now)
        #expect(!isAsked)
    }

    // MARK: No room

    /// It was lost, where nobody else announced it afterwards; who has sent it has broken nothing.
    @Test func whatCameInVainIsAskedForWhenThereIsRoom() {
        var promises = GossipPromises()
        _ = promises.announced(first, by: 1, now: now)
        let other = promises.cameInVain(first, 1_000, from: 1, isHisRoom: true, now: now)
        #expect(other == nil)
        #expect(promises.roomCame(now: now) { _ in 999 } == nil)
        #expect(promises.roomCame(now: now) { _ in 1_000 } == .init(id: first, peer: 1))
        #expect(promises.roomCame(now: now) { _ in 1_000 } == nil, "asked for already")
        // Where there is none for long it is asked for a few times more, and nobody is charged.
        for _ in 0..<10 { _ = promises.cameInVain(first, 1_000, from: 1, isHisRoom: false, now: now) }
        let all = run(&promises, for: .seconds(30))
        #expect(all.charged.isEmpty && all.asked.count == PubSubLimits.attempts - 1 && promises.count == 0)
        #expect(promises.waitingCount == 0)
    }

    @Test func whatCameUnaskedAndInVainIsAskedFor() {
        var promises = GossipPromises()
        for _ in 0..<3 { _ = promises.cameInVain(first, 1_000, from: 1, isHisRoom: false, now: now) }
        #expect(promises.count == 1 && promises.waitingCount == 2)
        #expect(run(&promises, for: .seconds(1)).asked.map(\.peer) == [1])
    }

    /// One who keeps his own room full, and sends what he announced first, over and over.
    @Test func whoseOwnRoomIsFullKeepsItFromNobody() {
        var promises = GossipPromises()
        for peer in UInt64(1)...3 { _ = promises.announced(first, by: peer, now: now) }
        let other = promises.cameInVain(first, 1_000, from: 1, isHisRoom: true, now: now)
        #expect(other == 2 || other == 3, "at once")
        let asked = run(&promises, for: .seconds(2)) { promises, now in
            // Neither does one whom nobody has asked.
            for peer in [UInt64(1), 9] { _ = promises.cameInVain(first, 1_000, from: peer, isHisRoom: true, now: now) }
        }.asked
        #expect(asked.count == 1 && asked[0].peer == 5 - (other ?? 0) && asked[0].after <= .seconds(1))
    }

    /// What was put off and given up stayed, behind what was to be asked for next.
    @Test func whatIsPutOffIsSoOnce() {
        var promises = GossipPromises()
        for round in 0..<20 {
            let now = now.advanced(by: .seconds(round))
            for number in UInt8(0)..<100 {
                for _ in 0..<3 {
                    _ = promises.cameInVain(SHA256.hash([number]), 1_000, from: 1, isHisRoom: false, now: now)
                }
            }
            #expect(promises.waitingCount <= 200)
            _ = promises.left(1, IdentityKey.generate().nodeID, among: company(without: [1]), now: now)
            _ = promises.due(now: now.advanced(by: .milliseconds(800)), among: company(without: [1]))
            _ = promises.expired(now: now.advanced(by: .milliseconds(900)), among: company(without: [1]))
            #expect(promises.count == 0 && promises.waitingCount == 0)
        }
    }

    /// His came when another had been asked already.
    @Test func whoWasAskedBeforeAndFindsNoRoomIsNotCharged() {
        var promises = GossipPromises()
        for peer in UInt64(1)...2 { _ = promises.announced(first, by: peer, now: now) }
        #expect(run(&promises, for: .milliseconds(400)).asked.map(\.peer) == [2])
        #expect(promises.cameInVain(first, 1_000, from: 1, isHisRoom: true, now: now) == nil)
        #expect(promises.roomCame(now: now) { _ in 1_000 } == .init(id: first, peer: 1))
        #expect(!run(&promises, for: .seconds(20)).charged.contains(1))
    }

    /// Who sends something else for ever keeps nobody who lost his copy from being asked again.
    @Test func whoGoesOnSendingHoldsUpNoOthersSecondChance() {
        var promises = GossipPromises()
        for peer in UInt64(1)...2 { _ = promises.announced(first, by: peer, now: now) }
        let all = run(&promises, for: .seconds(6), among: company(sending: [2]))
        #expect(all.asked.map(\.peer).prefix(2) == [2, 1] && all.asked[1].after <= .seconds(4))
    }

    /// As many as there are attempts, each of whom sends it once when he is asked.
    @Test func thoseWhoseRoomIsFullUseUpNoAttempts() {
        for seed in UInt64(1)...20 {
            var promises = GossipPromises(seed: seed)
            for peer in UInt64(1)...6 { _ = promises.announced(first, by: peer, now: now) }
            var asked: UInt64? = 1
            while let peer = asked, peer != 6 {
                asked = promises.cameInVain(first, 1_000, from: peer, isHisRoom: true, now: now)
            }
            #expect(asked == 6)
        }
    }
}
