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

    /// - Returns: the ids of those that made room for it.
    @discardableResult
    private func admit(_ manager: inout ConnectionManager, _ id: UInt64, busy: Set<UInt64> = []) -> [UInt64] {
        manager.admitted(id, now: at(1), isBusy: { busy.contains($0) }).map(\.id)
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

    // MARK: Members among themselves

    /// Sixteen members: those of `hosts`, in turns.
    private func full(_ hosts: [UInt32]) -> ConnectionManager {
        var manager = inRealm()
        for id: UInt64 in 1...16 {
            _ = open(&manager, entry(id, of: Int(id), from: hosts[Int(id) % hosts.count]))
            admit(&manager, id)
        }
        return manager
    }

    @Test func aMemberWithManyIdentitiesMakesRoomForOthersOnceTheyAreAdmitted() {
        var manager = full([1])
        manager.used(1, now: at(5))
        // Nobody is closed for a stranger; and of the same address nobody more is taken.
        #expect(open(&manager, entry(17, of: 17, from: 2)) == [])
        #expect(open(&manager, entry(18, of: 18, from: 1)) == nil)
        #expect(manager.count == 17)
        #expect(admit(&manager, 17) == [2])
        #expect(manager.count == 16)
    }

    @Test func whatIsInUseGoesLast() {
        var manager = full([1])
        manager.committed(1, 1)
        _ = open(&manager, entry(17, of: 17, from: 2))
        #expect(admit(&manager, 17, busy: [2, 3]) == [4])
        for id: UInt64 in 5...16 { manager.committed(id, 1) }
        _ = open(&manager, entry(18, of: 18, from: 2))
        #expect(admit(&manager, 18, busy: [2, 3]) == [2])
    }

    /// An office behind one NAT: nobody pushes out a colleague, and who was pushed out pushes nobody out.
    @Test func colleaguesDontGiveWayToEachOther() {
        var manager = full([1])
        for id: UInt64 in 17...40 {
            guard open(&manager, entry(id, of: Int(id), from: UInt32(id))) != nil else { break }
            admit(&manager, id)
        }
        // Down to the share of an address, an eighth; the rest are others by now.
        #expect((1...16).count { manager.contains($0) } == 2)
        for _ in 1...5 { #expect(open(&manager, entry(99, of: 60, from: 1)) == nil) }
    }

    @Test func aSubnetHasAShareToo() {
        var manager = inRealm()
        for id: UInt64 in 1...16 {
            var neighbour = entry(id, of: Int(id), from: 1)
            neighbour.subject = Subject(IPAddress(v4: 0x0102_0300 + UInt32(id)))
            _ = open(&manager, neighbour)
            admit(&manager, id)
        }
        _ = open(&manager, entry(17, of: 17, from: 9))
        #expect(admit(&manager, 17) == [1])
        var neighbour = entry(18, of: 18, from: 1)
        neighbour.subject = Subject(IPAddress(v4: 0x0102_03F0))
        #expect(open(&manager, neighbour) == nil)
    }

    @Test func whatComesThroughOneRelayIsOneSubject() {
        var manager = inRealm()
        for id: UInt64 in 1...16 {
            var relayed = entry(id, of: Int(id), from: 1)
            relayed.subject = .relay(7)
            _ = open(&manager, relayed)
            admit(&manager, id)
        }
        var relayed = entry(17, of: 17, from: 1)
        relayed.subject = .relay(7)
        #expect(open(&manager, relayed) == nil)
        #expect(open(&manager, entry(18, of: 18, from: 2)) == [])
        #expect(admit(&manager, 18) == [1])
        // One that has come to a path of its own counts there.
        manager.moved(2, to: Subject(IPAddress(v4: 0x0203_0400)))
        #expect(open(&manager, entry(19, of: 19, from: 3)) == [])
        #expect(admit(&manager, 19) == [3])
    }

    @Test func protectedNodesGiveWayToNobodyAndHaveThePlaceOfAMember() {
        var manager = full([1])
        for id in 1...16 {
            let isProtected = manager.protect(Self.nodes[id], for: .tag("own"))
            #expect(isProtected)
        }
        #expect(open(&manager, entry(17, of: 17, from: 2)) == nil)
        manager.unprotect(Self.nodes[9], for: .tag("own"))
        // Alone it holds no more than anybody's share.
        #expect(open(&manager, entry(17, of: 17, from: 2)) == nil)
        var crowded = full([1])
        let isProtected = crowded.protect(Self.nodes[20], for: .relay)
        #expect(isProtected)
        #expect(open(&crowded, entry(20, of: 20, from: 2)) == [1])
    }

    /// Several prove themselves at once and there is room for one.
    @Test func whoComesTooLateIsClosedItself() {
        var manager = full([1, 2, 3, 4, 5, 6, 7, 8])
        manager.close(1)
        _ = open(&manager, entry(17, of: 17, from: 20))
        _ = open(&manager, entry(18, of: 18, from: 21))
        #expect(admit(&manager, 17) == [])
        #expect(admit(&manager, 18) == [18])
        #expect(manager.count == 16)
    }

    /// However many strangers come while members fill everything: each has the time to prove itself.
    @Test func newcomersHaveTheStrangersShareOnTop() {
        var manager = full([1])
        for id: UInt64 in 17...22 { #expect(open(&manager, entry(id, of: Int(id), from: UInt32(id))) == []) }
        #expect(manager.count == 22 && manager.strangerCount == 6)
        #expect(open(&manager, entry(23, of: 23, from: 23)) == [17])
    }

    // MARK: Whatever happens

    /// What a subnet and a subject hold, summed up as squares: see `ConnectionManager.Weight`.
    private struct Holdings: Comparable {
        let subnets: Int
        let subjects: Int

        init(_ held: [UInt64: Subject]) {
            let square = { (counts: [Subject: Int]) in counts.values.reduce(0) { $0 + $1 * $1 } }
            subnets = square(held.values.reduce(into: [:]) { $0[$1.subnet, default: 0] += 1 })
            subjects = square(held.values.reduce(into: [:]) { $0[$1, default: 0] += 1 })
        }

        static func < (left: Self, right: Self) -> Bool {
            (left.subnets, left.subjects) < (right.subnets, right.subjects)
        }
    }

    /// Members of few addresses and subnets come again and again, in any order: whoever is put in another's place makes
    /// what is held more even, so it comes to rest; and nobody within the shares is ever put out.
    @Test(arguments: 1...40) func membersDontPushEachOtherOutInTurns(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var manager = inRealm()
        var held: [UInt64: Subject] = [:]
        let most = limits.high + limits.slack
        var displacements = 0
        for step: UInt64 in 1...600 {
            var new = entry(step, of: .random(in: 0..<64, using: &random), from: 1, at: step)
            let subnet = UInt32.random(in: 1...UInt32(1 + seed % 7), using: &random)
            new.subject = Subject(IPAddress(v4: subnet << 8 | .random(in: 1...UInt32(1 + seed % 5), using: &random)))
            guard open(&manager, new) != nil else { continue }
            let before = held
            let gone = admit(&manager, step)
            if gone != [step] { held[step] = new.subject }
            for id in gone where id != step {
                guard let subject = held.removeValue(forKey: id) else {
                    Issue.record("\(id) was no member")
                    continue
                }
                displacements += 1
                // With the newcomer counted, as it would be.
                let counted = Array(before.values) + [new.subject]
                let own = counted.count { $0 == subject }
                #expect(own > most / 8 || counted.count { $0.subnet == subject.subnet } > most / 4)
                #expect(Holdings(held) < Holdings(before))
            }
            #expect(held.count <= most && held.keys.allSatisfy(manager.contains))
        }
        #expect(held.count == most && displacements < most * most)
    }

    /// A member is closed for another member alone, and while its address or subnet holds more than its share; nobody is
    /// refused while fewer than `high` and the slack are members or this node's own dials; strangers keep to their
    /// share, and there are never more sessions than all that.
    @Test(arguments: 1...60) func holdsItsPromises(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var manager = inRealm()
        var subjects: [UInt64: Subject] = [:]
        var (members, live): ([UInt64: Subject], Set<UInt64>) = ([:], [])
        let most = limits.high + limits.slack
        /// Whether a member's address or subnet holds more than its share.
        func isOverShare(_ id: UInt64) -> Bool {
            guard let subject = members[id] else { return false }
            return members.values.count { $0 == subject } > most / 8
                || members.values.count { $0.subnet == subject.subnet } > most / 4
        }
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
                    subjects[step] = new.subject
                    live.insert(step)
                    // A dial of this node's own may take a member's place, a stranger never.
                    #expect(gone.allSatisfy { members[$0] == nil || (new.isInitiator && isOverShare($0)) })
                case .refused: #expect(manager.count - manager.strangerCount >= most)
                }
            case 7:
                if let id = live.randomElement(using: &random), members[id] == nil {
                    gone = manager.admitted(id, now: now, isBusy: { $0 % 3 == 0 }).map(\.id)
                    members[id] = subjects[id]
                    #expect(gone.count <= 1 && gone.allSatisfy { $0 == id || members[$0] == nil || isOverShare($0) })
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
                    members[id] = nil
                }
            default:
                gone = manager.timerFired(now: now, isBusy: { $0 % 3 == 0 }).map(\.id)
                #expect(gone.allSatisfy { members[$0] == nil })
            }
            for id in gone {
                #expect(live.remove(id) != nil)
                members[id] = nil
            }
            #expect(live.allSatisfy(manager.contains) && manager.count == live.count)
            #expect(manager.count - manager.strangerCount <= most && manager.strangerCount <= limits.strangers)
        }
    }
}
