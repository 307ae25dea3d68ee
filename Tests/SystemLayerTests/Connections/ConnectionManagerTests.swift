import Identity
import QUIC
import SessionTestSupport
import Testing

@testable import SystemLayer

@Suite struct ConnectionManagerTests {
    private static let nodes = (0..<64).map { _ in IdentityKey.generate().nodeID }

    private var limits: ConnectionLimits {
        var limits = ConnectionLimits(low: 4, high: 12)
        limits.slack = 4
        limits.strangers = 6
        limits.strangersPerSubject = 3
        return limits
    }

    private func at(_ seconds: UInt64) -> NetworkInstant { NetworkInstant(nanoseconds: seconds * 1_000_000_000) }

    private func entry(
        _ id: UInt64, of node: Int = 0, from host: UInt32, isInitiator: Bool = false, at seconds: UInt64 = 0
    ) -> ConnectionManager.Entry {
        ConnectionManager.Entry(
            id: id, nodeID: Self.nodes[node], subject: Subject(IPAddress(v4: host << 8)), isInitiator: isInitiator,
            now: at(seconds))
    }

    private func inRealm() -> ConnectionManager {
        var manager = ConnectionManager(limits: limits)
        _ = manager.setInRealm(true, now: at(0))
        return manager
    }

    /// - Returns: the ids of those that made room; `nil` when it was refused.
    private func open(_ manager: inout ConnectionManager, _ entry: ConnectionManager.Entry) -> [UInt64]? {
        guard case .opened(let closing) = manager.open(entry, now: entry.since, isBusy: { _ in false }) else {
            return nil
        }
        return closing.map(\.id)
    }

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

    @Test func anAdmittedSessionIsNoStrangerAndStays() {
        var manager = inRealm()
        _ = open(&manager, entry(1, from: 1))
        manager.admitted(1, now: at(0))
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
        manager.admitted(2, now: at(6))
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
        manager.admitted(12, now: at(1))
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
            manager.admitted(id, now: at(0))
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

    // MARK: Whatever happens

    /// A member is never closed; nobody is refused while a stranger stands whom nothing lasting is done for; strangers
    /// keep to their share; there are never more sessions than `high` and the slack.
    @Test(arguments: 1...60) func holdsItsPromises(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var manager = inRealm()
        var (members, live): (Set<UInt64>, Set<UInt64>) = ([], [])
        for step: UInt64 in 1...1_500 {
            var gone: [UInt64] = []
            let now = at(step / 4)
            switch UInt64.random(in: 0..<12, using: &random) {
            case 0..<7:
                let new = entry(
                    step, of: .random(in: 0..<64, using: &random), from: .random(in: 1...7, using: &random),
                    isInitiator: .random(in: 0..<5, using: &random) == 0, at: step / 4)
                switch manager.open(new, now: now, isBusy: { $0 % 3 == 0 }) {
                case .opened(let closing):
                    gone = closing.map(\.id)
                    live.insert(step)
                case .refused:
                    #expect(manager.strangerCount == 0)
                    #expect(manager.count >= limits.high + limits.slack)
                }
            case 7:
                if let id = live.randomElement(using: &random) {
                    manager.admitted(id, now: now)
                    members.insert(id)
                }
            case 8: if let id = live.randomElement(using: &random) { manager.used(id, now: now) }
            case 9:
                if let id = live.randomElement(using: &random) {
                    manager.committed(id, .random(in: 0...1, using: &random) == 0 ? -1 : 1)
                }
            case 10:
                if let id = live.randomElement(using: &random) {
                    manager.close(id)
                    live.remove(id)
                    members.remove(id)
                }
            default: gone = manager.timerFired(now: now, isBusy: { $0 % 3 == 0 }).map(\.id)
            }
            for id in gone {
                #expect(live.remove(id) != nil && !members.contains(id))
            }
            #expect(live.allSatisfy(manager.contains) && manager.count == live.count)
            #expect(manager.count <= limits.high + limits.slack && manager.strangerCount <= limits.strangers)
        }
    }
}
