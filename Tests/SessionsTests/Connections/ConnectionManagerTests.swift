import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PSessions

@Suite struct ConnectionManagerTests: ConnectionManagerFixture {
    // MARK: Strangers

    @Test func aSubjectsNextStrangerTakesThePlaceOfItsFirst() {
        var manager = inRealm()
        for id: UInt64 in 1...3 { #expect(open(&manager, entry(id, from: 1, at: id)) == []) }
        #expect(open(&manager, entry(4, from: 1, at: 4)) == [1])
        #expect(open(&manager, entry(5, from: 2, at: 5)) == [])
        #expect(manager.count == 4)
    }

    @Test func theShareOfStrangersIsTakenFromWhoHasTheMost() {
        var manager = inRealm()
        for id: UInt64 in 1...3 { _ = open(&manager, entry(id, from: 1, at: id)) }
        for id: UInt64 in 4...6 { _ = open(&manager, entry(id, from: UInt32(id), at: id)) }
        #expect(open(&manager, entry(7, from: 70, at: 7)) == [1])
        #expect(open(&manager, entry(8, from: 80, at: 8)) == [2])
        // All have one now: the first to come is the first to go.
        #expect(open(&manager, entry(9, from: 90, at: 9)) == [3])
        #expect(open(&manager, entry(10, from: 100, at: 10)) == [4])
        #expect(manager.strangerCount == 6)
    }

    /// One who commands a whole subnet is not many.
    @Test func aSubnetOfManyAddressesGoesBeforeOthers() {
        var manager = inRealm()
        _ = open(&manager, entry(1, from: 500))
        for id: UInt64 in 2...6 {
            var neighbour = entry(id, of: Int(id), from: 1, at: id)
            neighbour.subject = Subject(IPAddress(v4: 0x0102_0300 + UInt32(id)))
            _ = open(&manager, neighbour)
        }
        #expect(open(&manager, entry(7, from: 700, at: 7)) == [2])
    }

    // MARK: Errands

    /// What was dialled to ask something ends when it has been idle for a while; what somebody wants does not.
    @Test func anErrandEndsWhenThereIsNothingMoreToAsk() {
        var manager = ConnectionManager(limits: limits)
        for id: UInt64 in 1...5 {
            _ = open(&manager, entry(id, of: Int(id), from: UInt32(id), isInitiator: true, isErrand: true))
        }
        _ = open(&manager, entry(6, of: 6, from: 6, isInitiator: true))
        manager.wanted(1)
        admit(&manager, 2)
        _ = manager.protect(Self.nodes[3], for: .bootstrap)
        manager.asked(4, now: at(5))
        let time = UInt64(ConnectionManager.errandTime.seconds)
        #expect(manager.wake == at(time))
        let busy = manager.timerFired(now: at(time)) { $0 == 5 }
        #expect(busy == [] && manager.wake == at(time + 5))
        let idle = manager.timerFired(now: at(time + 5)) { _ in false }
        #expect(idle.map(\.id) == [4] && idle.first?.code == .normal)
        #expect(manager.timerFired(now: at(2 * time)) { _ in false }.map(\.id) == [5])
        #expect(manager.wake == nil && manager.count == 4)
    }

    /// However many answer, and hold streams open on what was dialled to ask them: members find their slots.
    @Test func whoHoldsErrandsOpenIsAStranger() {
        var manager = inRealm()
        for id: UInt64 in 1...16 {
            _ = open(&manager, entry(id, of: Int(id), from: UInt32(id), isInitiator: true, isErrand: true))
        }
        // Among others that are busy, a stranger comes to prove itself, and one that this node dials.
        func comes(_ id: UInt64, isInitiator: Bool, at seconds: UInt64) -> Bool {
            let entry = entry(id, of: Int(id), from: UInt32(id), isInitiator: isInitiator, at: seconds)
            guard case .opened = manager.open(entry, now: at(seconds), isBusy: { _ in true }) else { return false }
            return true
        }
        #expect(comes(17, isInitiator: false, at: 1))
        #expect(comes(18, isInitiator: true, at: 1))
        for id: UInt64 in 1...16 { manager.used(id, now: at(14)) }
        let time = UInt64(ConnectionManager.errandTime.seconds)
        #expect(!manager.timerFired(now: at(time)) { _ in true }.isEmpty)
        #expect(manager.strangerCount <= limits.strangers)
        // What its peer is done with ends as any errand.
        _ = manager.timerFired(now: at(2 * time)) { _ in false }
        #expect(manager.strangerCount == 0 && manager.contains(18))
    }

    // MARK: Members

    @Test func anAdmittedSessionIsNoStrangerAndStays() {
        var manager = inRealm()
        _ = open(&manager, entry(1, from: 1))
        admit(&manager, 1)
        #expect(manager.strangerCount == 0)
        for id: UInt64 in 2...100 { #expect(open(&manager, entry(id, from: 1, at: id)) != nil) }
        #expect(manager.contains(1))
    }

    @Test func outsideOfARealmThereIsRoomForMoreAndWhoIsCommittedToStays() {
        var manager = ConnectionManager(limits: limits)
        for id: UInt64 in 1...16 {
            #expect(open(&manager, entry(id, from: UInt32(id), at: id)) == [])
            manager.committed(id, 1)
        }
        // Sixteen with reservations: nobody gives way to one who has none.
        #expect(open(&manager, entry(17, from: 17, at: 17)) == nil)
        manager.committed(5, -1)
        #expect(open(&manager, entry(18, from: 18, at: 18)) == [5])
    }

    @Test func joiningARealmLeavesStrangersTheirShare() {
        var manager = ConnectionManager(limits: limits)
        for id: UInt64 in 1...10 { _ = open(&manager, entry(id, from: UInt32(id), at: id)) }
        #expect(manager.setInRealm(true, now: at(20)).map(\.id) == [1, 2, 3, 4])
        // Who is left has the time to be admitted, however long it has been here.
        #expect(manager.timerFired(now: at(25), isBusy: { _ in false }).isEmpty)
        #expect(manager.timerFired(now: at(31), isBusy: { _ in false }).count == 6)
    }

    @Test func whoIsNeitherAdmittedNorAsksForAnythingGoes() {
        var manager = inRealm()
        for id: UInt64 in 1...4 { _ = open(&manager, entry(id, from: UInt32(id), at: 5)) }
        manager.used(1, now: at(6))
        admit(&manager, 2)
        manager.committed(3, 1)
        #expect(manager.wake == at(15))
        let closing = manager.timerFired(now: at(15), isBusy: { _ in false })
        #expect(closing.map(\.id) == [4] && closing[0].reason.contains("10.0 seconds"))
        #expect(manager.wake == nil)
    }

    // MARK: Watermarks

    @Test func aboveHighTheLeastUsedAreClosedDownToLow() {
        var manager = inRealm()
        for id: UInt64 in 1...2 {
            _ = open(&manager, entry(id, from: UInt32(id)))
            manager.used(id, now: at(id))
        }
        for id: UInt64 in 3...12 {
            _ = open(&manager, entry(id, of: Int(id), from: 9, isInitiator: true))
            manager.used(id, now: at(100 - id))
        }
        admit(&manager, 12)
        let isProtected = manager.protect(Self.nodes[11], for: .relay)
        #expect(isProtected)
        guard
            case .opened(let closing) = manager.open(
                entry(13, from: 13, at: 200), now: at(200), isBusy: { $0 == 10 })
        else {
            Issue.record("it was refused")
            return
        }
        // Strangers first; then own dials, those used longest ago; not the member 12, the relay 11, the busy 10.
        #expect(closing.map(\.id) == [1, 2, 9, 8, 7, 6, 5, 4, 3])
        #expect(manager.count == 4)
    }

    @Test func whatIsProtectedIsRefusedOnlyBeyondTheSlack() {
        var manager = inRealm()
        for id: UInt64 in 1...16 {
            #expect(open(&manager, entry(id, of: Int(id), from: UInt32(id))) == [])
            admit(&manager, id)
        }
        #expect(
            manager.open(entry(17, from: 17), now: at(0), isBusy: { _ in false })
                == .refused(LimitExceeded(name: "connections", value: 16, limit: 16)))
        manager.close(3)
        #expect(open(&manager, entry(18, from: 18)) == [])
        // The next one takes the stranger's place.
        #expect(open(&manager, entry(19, of: 19, from: 19, isInitiator: true)) == [18])
    }

    @Test func protectionsAreBoundedAndEnd() {
        var manager = inRealm()
        let node = Self.nodes[1]
        let taken = [manager.protect(node, for: .tag("a")), manager.protect(node, for: .relay)]
        #expect(taken == [true, true])
        _ = open(&manager, entry(1, of: 1, from: 1))
        #expect(!manager.isStranger(1))
        manager.unprotect(node, for: .relay)
        #expect(!manager.isStranger(1))
        manager.unprotect(node, for: .tag("a"))
        #expect(manager.isStranger(1))
        var count = 0
        for _ in 0...ConnectionManager.protectedLimit
        where manager.protect(IdentityKey.generate().nodeID, for: .bootstrap) { count += 1 }
        #expect(count == ConnectionManager.protectedLimit)
    }
}
