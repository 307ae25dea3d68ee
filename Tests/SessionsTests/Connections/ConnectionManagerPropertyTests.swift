import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PSessions

/// Whatever happens.
@Suite struct ConnectionManagerPropertyTests: ConnectionManagerFixture {
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
        var random = SplitMix64(seed: seed)
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
        var random = SplitMix64(seed: seed)
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
