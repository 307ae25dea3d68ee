import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PReach

/// Whose circuit gives way to whose.
@Suite struct CircuitTableTests {
    private let now = NetworkInstant(nanoseconds: 1_000_000_000_000)
    private let target = RelayMachine.Client(
        nodeID: IdentityKey.generate().nodeID, session: 1, subject: Subject(IPAddress(v4: 0x0909_0909)))

    /// Another node each time, at the host of that number.
    private func client(at host: UInt32) -> RelayMachine.Client {
        RelayMachine.Client(
            nodeID: IdentityKey.generate().nodeID, session: UInt64(host),
            subject: Subject(IPAddress(v4: 0x2d00_0001 + host << 8)))
    }

    private func table(_ change: (inout RelayLimits) -> Void = { _ in }) -> CircuitTable {
        var limits = RelayLimits()
        change(&limits)
        return CircuitTable(limits: limits)
    }

    private func perNode(_ circuit: UInt64) -> RelayMachine.Displaced {
        RelayMachine.Displaced(circuit: circuit, limit: .init(name: "circuits-per-node", maximum: 32))
    }

    @Test("however many identities a stranger has, others reach the node")
    func manyIdentities() {
        var table = table()
        for _ in 0..<200 { _ = table.open(from: client(at: 1), to: target, now: now) }
        #expect(table.count == 16, "unconfirmed ones are half of what a node may have")
        for number in UInt32(0)..<15 {
            let opened = table.open(from: client(at: 10 + number), to: target, now: now)
            #expect(opened == .opened(17 + UInt64(number), instead: perNode(1 + UInt64(number))))
        }
        // Each has one now: nobody has more than a newcomer would.
        #expect(table.open(from: client(at: 99), to: target, now: now) == .refused(.limit("circuits-per-node", 32)))
        let later = now.advanced(by: CircuitTable.probation)
        #expect(table.open(from: client(at: 99), to: target, now: later) == .opened(32, instead: perNode(16)))
    }

    @Test("confirmed circuits give way only when they are silent")
    func confirmed() {
        var table = table()
        for number in UInt32(0)..<32 {
            guard case .opened(let circuit, nil) = table.open(from: client(at: number), to: target, now: now) else {
                Issue.record("no room for \(number)")
                return
            }
            table.accept(circuit, now: now)
            table.confirm(circuit)
            moves(circuit, in: &table, now)
        }
        let refused = CircuitTable.OnOpen.refused(.limit("circuits-per-node", 32))
        #expect(table.open(from: client(at: 90), to: target, now: now) == refused)
        let later = now.advanced(by: CircuitTable.warmth)
        for circuit in UInt64(1)...32 where circuit != 20 && circuit != 7 { moves(circuit, in: &table, later) }
        // One more than there may be beside the two that are silent: they have carried nothing for long, but count for none.
        for number in UInt32(33)...34 {
            guard case .opened(let circuit, nil) = table.open(from: client(at: number), to: target, now: later) else {
                Issue.record("no room for \(number)")
                return
            }
            table.confirm(circuit)
            moves(circuit, in: &table, later)
        }
        table.carried(7, bytes: 1, now: now.advanced(by: .seconds(-1)))
        #expect(table.open(from: client(at: 90), to: target, now: later) == .opened(35, instead: perNode(7)))
        // The next one finds one silent circuit, and one whose time of probation is not over.
        #expect(table.open(from: client(at: 91), to: target, now: later) == .opened(36, instead: perNode(20)))
    }

    private func moves(_ circuit: UInt64, in table: inout CircuitTable, _ now: NetworkInstant) {
        table.carried(circuit, bytes: CircuitTable.idleRate + 1, now: now)
    }

    /// Confirmed circuits to `target`, from a subnet each, that carry no more than what keeps them warm.
    private func idle(_ count: Int, to target: RelayMachine.Client, from first: Int, in table: inout CircuitTable)
        -> Int
    {
        (first..<first + count).count { number in
            guard case .opened(let circuit, nil) = table.open(from: client(at: UInt32(number)), to: target, now: now)
            else { return false }
            table.accept(circuit, now: now)
            table.confirm(circuit)
            table.carried(circuit, bytes: CircuitTable.idleRate, now: now)
            return true
        }
    }

    @Test("a thousand members that say nothing are one node's, and one more that moves is none too many")
    func idleOnes() {
        var table = table()
        #expect(idle(1_000, to: target, from: 0, in: &table) == 1_000)
        #expect(table.count == 1_000)
        // As many as may move at once begin to, and then nobody is let in until one of them rests.
        for circuit in UInt64(1)...32 { moves(circuit, in: &table, now) }
        #expect(table.open(from: client(at: 2_000), to: target, now: now) == .refused(.limit("circuits-per-node", 32)))
        for circuit in UInt64(2)...32 { moves(circuit, in: &table, now.advanced(by: .seconds(1))) }
        let later = now.advanced(by: CircuitTable.moved)
        #expect(table.open(from: client(at: 2_000), to: target, now: later) == .opened(1_001, instead: nil))
    }

    @Test("when a relay is full of one node's idle circuits, those of others find a place, and its own do not")
    func crowdGivesWay() {
        var table = table()
        let other = client(at: 5_000)
        #expect(idle(1_024, to: target, from: 0, in: &table) == 1_024)
        moves(1, in: &table, now)
        #expect(table.open(from: client(at: 3_000), to: target, now: now) == .refused(.limit("circuits", 1_024)))
        let all = RelayMachine.Displaced(circuit: 2, limit: .init(name: "circuits", maximum: 1_024))
        #expect(table.open(from: client(at: 3_000), to: other, now: now) == .opened(1_025, instead: all))
        #expect(table.count == 1_024)
    }

    @Test("who is not confirmed gives way before who is only silent")
    func unconfirmedFirst() {
        var table = table { $0.circuitsPerNode = 4 }
        let opened = (0..<4).map { table.open(from: client(at: $0 / 2), to: target, now: now) }
        #expect(opened.last == .refused(.limit("circuits-per-node", 4)), "two of four may be unconfirmed")
        for circuit in UInt64(1)...2 { table.confirm(circuit) }
        for number in UInt32(0)..<2 {
            _ = table.open(from: client(at: 8), to: target, now: now.advanced(by: .seconds(Int(number))))
        }
        let later = now.advanced(by: CircuitTable.warmth)
        guard case .opened(_, let displaced) = table.open(from: client(at: 9), to: target, now: later) else {
            Issue.record("no room")
            return
        }
        #expect(displaced?.circuit == 4)
    }

    @Test("a node's own circuits to one other are few, and its old ones give way to its new ones")
    func pairs() {
        var table = table()
        let source = client(at: 1)
        for _ in 0..<8 { _ = table.open(from: source, to: target, now: now) }
        let limit = RelayError.limit("circuits-per-pair", 8)
        #expect(table.open(from: source, to: target, now: now) == .refused(limit))
        let later = now.advanced(by: CircuitTable.probation)
        guard case .opened(9, let displaced) = table.open(from: source, to: target, now: later) else {
            Issue.record("no room")
            return
        }
        #expect(displaced?.circuit == 1 && displaced?.limit.name == "circuits-per-pair")
    }

    @Test("what others make to a node takes nothing of what it may make itself")
    func directions() {
        var table = table { $0.circuitsPerNode = 2 }
        let other = client(at: 5)
        for number in UInt32(0)..<2 {
            guard case .opened(let circuit, nil) = table.open(from: client(at: number), to: target, now: now) else {
                Issue.record("no room")
                return
            }
            table.confirm(circuit)
        }
        #expect(table.open(from: target, to: other, now: now) == .opened(3, instead: nil))
        table.confirm(3)
        #expect(table.open(from: target, to: other, now: now) == .opened(4, instead: nil))
        #expect(table.open(from: target, to: other, now: now) == .refused(.limit("circuits-per-node", 2)))
    }

    @Test("few sources can't fill a whole relay")
    func scarcity() {
        var table = table {
            $0.circuits = 64
            $0.circuitsPerAddress = 64
            $0.circuitsPerSubnet = 64
        }
        func takes(_ host: UInt32, _ count: Int) -> Int {
            (0..<count).count { _ in
                let target = client(at: 200)
                guard case .opened(let circuit, nil) = table.open(from: client(at: host), to: target, now: now) else {
                    return false
                }
                table.confirm(circuit)
                return true
            }
        }
        #expect(takes(1, 200) == 48, "three quarters")
        #expect(takes(2, 200) == 8, "and an eighth of its quota to everyone else")
        #expect(takes(3, 200) == 8)
    }

    @Test("open circuits that carry nothing and that nobody confirmed end; asked ones have the answer's deadline")
    func unused() {
        var table = table()
        for number in UInt32(0)..<4 { _ = table.open(from: client(at: number), to: target, now: now) }
        for circuit in UInt64(1)...3 { table.accept(circuit, now: now) }
        table.confirm(3)
        let soon = now.advanced(by: .seconds(2))
        table.carried(2, bytes: 1, now: soon)
        #expect(table.unused(now: now.advanced(by: .seconds(4))) == [])
        #expect(table.unused(now: now.advanced(by: CircuitTable.unusedTime)) == [1])
        #expect(table.unused(now: soon.advanced(by: CircuitTable.unusedTime)) == [1, 2])
    }

    @Test("what has ended counts no more")
    func ends() {
        var table = table { $0.circuitsPerAddress = 1 }
        let source = client(at: 1)
        for _ in 0..<50 {
            guard case .opened(let circuit, nil) = table.open(from: source, to: target, now: now) else {
                Issue.record("counted for ever")
                return
            }
            table.end(circuit)
            table.end(circuit)
        }
        #expect(table.count == 0)
    }
}
