import DeP2PIdentity
import DeP2PReactor
import DeP2PSessions
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PApp

@Suite struct TransferQueueTests {
    private let senders = (0..<40).map { _ in Sender(IdentityKey.generate().nodeID) }

    private func at(_ seconds: Int) -> NetworkInstant { NetworkInstant(nanoseconds: UInt64(seconds) * 1_000_000_000) }

    @Test func theSeventeenthWaitsForAPlace() {
        var queue = TransferQueue(TransferQueueLimits(places: 16))
        for id in 0..<16 { #expect(queue.arrive(UInt64(id), from: senders[id], at: at(0)) == .start) }
        #expect(queue.arrive(16, from: senders[16], at: at(0)) == .wait)
        #expect(queue.arrive(17, from: senders[17], at: at(0)) == .wait)
        #expect(queue.leave(3, at: at(1)).started == [16])
        #expect(queue.leave(17, at: at(1)).started == [])
        #expect(queue.waitingCount == 0 && queue.runningCount == 16)
    }

    @Test func oneSenderLeavesHalfOfThePlacesToOthers() {
        var queue = TransferQueue(TransferQueueLimits(places: 4))
        for id in 0..<2 { #expect(queue.arrive(UInt64(id), from: senders[0], at: at(0)) == .start) }
        #expect(queue.arrive(2, from: senders[0], at: at(0)) == .wait)
        // Who comes after those that wait for their own share need not wait with them.
        #expect(queue.arrive(3, from: senders[1], at: at(0)) == .start)
        #expect(queue.leave(0, at: at(1)).started == [2])
    }

    /// Whoever has the realm key has any number of identities.
    @Test func manyIdentitiesOfOneAddressLeavePlacesAndTurnsToOthers() {
        let subject = Subject(IPAddress(v4: 0x0A00_0001))
        let many = (0..<300).map { _ in Sender(nodeID: IdentityKey.generate().nodeID, subject: subject) }
        let limits = TransferQueueLimits(places: 8)
        var queue = TransferQueue(limits)
        let answers = many.indices.map { queue.arrive(UInt64($0), from: many[$0], at: at(0)) }
        #expect(answers.count { $0 == .start } == limits.placesPerSubject && limits.placesPerSubject < limits.places)
        #expect(answers.count { $0 == .wait } == limits.waitingPerSubject && limits.waitingPerSubject < limits.waiting)
        #expect(queue.arrive(1000, from: senders[0], at: at(1)) == .start)
        // With one place, the others come after one of theirs, not after all.
        var single = TransferQueue(.oneAtATime)
        for (id, sender) in many.prefix(50).enumerated() { _ = single.arrive(UInt64(id), from: sender, at: at(0)) }
        #expect(single.arrive(1000, from: senders[0], at: at(1)) == .wait)
        #expect(single.leave(0, at: at(2)).started == [1000])
        #expect(single.leave(1000, at: at(3)).started == [1])
    }

    @Test func ofThoseWhoWaitTheSenderWithTheFewestComesFirst() {
        var queue = TransferQueue(TransferQueueLimits(places: 2))
        _ = queue.arrive(0, from: senders[0], at: at(0))
        _ = queue.arrive(1, from: senders[1], at: at(0))
        #expect(queue.arrive(2, from: senders[0], at: at(0)) == .wait)
        #expect(queue.arrive(3, from: senders[2], at: at(0)) == .wait)
        #expect(queue.leave(1, at: at(1)).started == [3])
        #expect(queue.leave(0, at: at(1)).started == [2])
    }

    @Test func waitingHasALimitThatNamesItself() {
        var limits = TransferQueueLimits(places: 1)
        (limits.waiting, limits.waitingPerSender) = (3, 2)
        var queue = TransferQueue(limits)
        #expect(queue.arrive(0, from: senders[0], at: at(0)) == .start)
        for id in 1...2 { #expect(queue.arrive(UInt64(id), from: senders[1], at: at(0)) == .wait) }
        guard case .refuse(let own) = queue.arrive(3, from: senders[1], at: at(0)) else {
            Issue.record("a third of one sender waits")
            return
        }
        #expect("\(own)" == "the limit of 2 waiting transfers of one sender is reached")
        #expect(queue.arrive(4, from: senders[2], at: at(0)) == .wait)
        guard case .refuse(let all) = queue.arrive(5, from: senders[3], at: at(0)) else {
            Issue.record("a fourth waits")
            return
        }
        #expect("\(all)" == "the limit of 3 waiting transfers is reached")
    }

    @Test func whoMovesNothingGivesUpThePlaceButNotTheTransfer() {
        var queue = TransferQueue(TransferQueueLimits(places: 2))
        _ = queue.arrive(0, from: senders[0], at: at(0))
        _ = queue.arrive(1, from: senders[1], at: at(0))
        #expect(queue.arrive(2, from: senders[2], at: at(1)) == .wait)
        queue.moved(1, by: 1 << 20)
        #expect(queue.review(at: at(29)) == .init())
        queue.moved(1, by: 1 << 20)
        #expect(queue.review(at: at(31)).started == [2])
        #expect(queue.runningCount == 3)
        // A drip is no movement.
        queue.moved(2, by: 100)
        queue.moved(1, by: 1 << 20)
        #expect(queue.arrive(3, from: senders[3], at: at(40)) == .wait)
        #expect(queue.review(at: at(70)).started == [3])
    }

    @Test func whereNothingCanBeParkedTheLongIdleEnd() {
        var queue = TransferQueue(.oneAtATime)
        _ = queue.arrive(0, from: senders[0], at: at(0))
        // Nobody waits: it may be idle for ever.
        #expect(queue.review(at: at(5000)) == .init())
        var other = TransferQueue(.oneAtATime)
        _ = other.arrive(0, from: senders[0], at: at(0))
        #expect(other.arrive(1, from: senders[1], at: at(0)) == .wait)
        #expect(other.review(at: at(599)) == .init())
        #expect(other.review(at: at(600)) == .init(started: [], ended: [0]))
        #expect(other.leave(0, at: at(601)).started == [1])
    }

    /// Those that are parked hold descriptors, and may hold all of them.
    @Test func whereDescriptorsAreMissingTheLongIdleEnd() {
        var queue = TransferQueue(TransferQueueLimits(places: 2))
        _ = queue.arrive(0, from: senders[0], at: at(0))
        _ = queue.arrive(1, from: senders[1], at: at(0))
        #expect(!queue.isContended)
        queue.setStarving(1, true, at: at(1))
        #expect(queue.isContended)
        #expect(queue.review(at: at(599)) == .init())
        #expect(queue.review(at: at(600)) == .init(started: [], ended: [0]))
        queue.setStarving(1, false, at: at(601))
        #expect(!queue.isContended && queue.review(at: at(5000)) == .init())
    }

    /// A sender that has many waiting, and whose transfer ended for being idle, is not the next at once.
    @Test func whoHadATurnWaitsForTheOthers() {
        var queue = TransferQueue(.oneAtATime)
        for id in 0..<3 as Range<UInt64> { _ = queue.arrive(id, from: senders[0], at: at(0)) }
        #expect(queue.arrive(3, from: senders[1], at: at(1)) == .wait)
        #expect(queue.leave(0, at: at(2)).started == [3])
        #expect(queue.leave(3, at: at(3)).started == [1])
    }

    /// Any order of events: the limits hold, and nobody waits while there is a place for it.
    @Test func randomTransfersNeverExceedTheLimits() {
        var generator = SplitMix64(seed: 81)
        for _ in 0..<200 {
            let places = Int.random(in: 1...6, using: &generator)
            let limits = TransferQueueLimits(places: places)
            var queue = TransferQueue(limits)
            var alive: Set<UInt64> = []
            for id in 0..<120 as Range<UInt64> {
                switch Int.random(in: 0...2, using: &generator) {
                case 0:
                    if let one = alive.randomElement(using: &generator) {
                        alive.remove(one)
                        _ = queue.leave(one, at: at(Int(id)))
                    }
                default:
                    let sender = senders[Int.random(in: 0..<6, using: &generator)]
                    if case .refuse = queue.arrive(id, from: sender, at: at(Int(id))) { continue }
                    alive.insert(id)
                }
                #expect(queue.runningCount <= places && queue.runningCount + queue.waitingCount == alive.count)
            }
            for id in alive { _ = queue.leave(id, at: at(500)) }
            #expect(queue.runningCount == 0 && queue.waitingCount == 0)
        }
    }
}
