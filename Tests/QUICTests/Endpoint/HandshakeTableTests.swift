import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import Testing

@testable import DeP2PQUIC

@Suite struct HandshakeTableTests {
    private let limits = HandshakeTable.Limits(total: 12, perSubject: 4, unproven: 5, unprovenPerSubject: 2)

    private func subject(_ number: UInt32) -> Subject { Subject(host(number).ip) }

    @Test func whoHasProvenNothingIsAskedTo() {
        var table = HandshakeTable(limits: limits)
        var asked = 0
        for id in 1...20 where table.admit(UInt64(id), subject: subject(1), isProven: false) == .proveAddress {
            asked += 1
        }
        #expect(asked == 18 && table.count == 2)
        // Another subject has its own two; the fifth of all is the last.
        for id in 21...23 { _ = table.admit(UInt64(id), subject: subject(UInt32(id)), isProven: false) }
        #expect(table.admit(24, subject: subject(24), isProven: false) == .proveAddress)
        table.end(1)
        #expect(table.admit(25, subject: subject(1), isProven: false) == .accept(displaced: nil))
    }

    @Test func whatHasNoProofIsChargedToNobody() {
        var table = HandshakeTable(limits: limits)
        for id in 1...2 { _ = table.admit(UInt64(id), subject: subject(1), isProven: false) }
        for id in 3...6 {
            #expect(table.admit(UInt64(id), subject: subject(1), isProven: true) == .accept(displaced: nil))
        }
        #expect(table.count(of: subject(1)) == 4)
    }

    @Test func theOldestOfASubjectGivesWayToItsNext() {
        var table = HandshakeTable(limits: limits)
        for id in 1...4 { _ = table.admit(UInt64(id), subject: subject(1), isProven: true) }
        #expect(table.admit(5, subject: subject(1), isProven: true) == .accept(displaced: 1))
        #expect(table.admit(6, subject: subject(1), isProven: true) == .accept(displaced: 2))
        #expect(table.count == 4)
    }

    /// A stranger on one circuit, who begins again and again, does not end the handshakes of those on others.
    @Test func behindARelayACircuitFillsItsOwnPlaces() {
        var table = HandshakeTable(limits: limits)
        let relay = Subject.relay(7)
        _ = table.admit(1, subject: relay, circuit: 100, isProven: true)
        _ = table.admit(2, subject: relay, circuit: 200, isProven: true)
        for id in UInt64(3)...4 { _ = table.admit(id, subject: relay, circuit: 300, isProven: true) }
        for id in UInt64(5)...50 {
            #expect(table.admit(id, subject: relay, circuit: 300, isProven: true) == .accept(displaced: id - 2))
        }
        #expect(table.admit(51, subject: relay, circuit: 400, isProven: true) == .accept(displaced: 49))
        // With as many each it is the oldest of all.
        #expect(table.admit(52, subject: relay, circuit: 500, isProven: true) == .accept(displaced: 1))
        #expect(table.count == 4)
    }

    /// The same where it is the whole table that is full.
    @Test func ofTheLargestSubjectACircuitFillsItsOwnPlaces() {
        let limits = HandshakeTable.Limits(total: 4, perSubject: 9, unproven: 5, unprovenPerSubject: 2)
        var table = HandshakeTable(limits: limits)
        _ = table.admit(1, subject: .relay(7), circuit: 100, isProven: true)
        for id in UInt64(2)...4 { _ = table.admit(id, subject: .relay(7), circuit: 300, isProven: true) }
        #expect(table.admit(5, subject: subject(1), isProven: true) == .accept(displaced: 2))
        #expect(table.admit(6, subject: subject(2), isProven: true) == .accept(displaced: 3))
    }

    @Test func aFullTableTakesFromWhoHasTheMost() {
        var table = HandshakeTable(limits: limits)
        var id: UInt64 = 0
        for (number, count) in [(UInt32(1), 3), (2, 4), (3, 4), (4, 1)] {
            for _ in 0..<count {
                id += 1
                _ = table.admit(id, subject: subject(number), isProven: true)
            }
        }
        #expect(table.count == limits.total)
        // Of the two with four, the one whose oldest is older.
        #expect(table.admit(13, subject: subject(9), isProven: true) == .accept(displaced: 4))
        #expect(table.admit(14, subject: subject(9), isProven: true) == .accept(displaced: 8))
        #expect(table.admit(15, subject: subject(10), isProven: false) == .proveAddress)
    }

    /// A /48 has 65,536 subjects: together they are one network.
    @Test func aNetworkOfManySubjectsGoesBeforeOthers() {
        var table = HandshakeTable(limits: limits)
        for id: UInt64 in 1...2 { _ = table.admit(id, subject: subject(1), isProven: true) }
        for id: UInt64 in 3...40 {
            let subject = Subject(IPAddress(v6High: 0x2001_0db8_0001_0000 + id, low: 1))
            guard case .accept(let displaced) = table.admit(id, subject: subject, isProven: true) else {
                Issue.record("\(id) has proven its address")
                return
            }
            #expect(displaced == (id <= 12 ? nil : id - 10))
        }
        #expect(table.count(of: subject(1)) == 2)
    }

    /// Whoever has proven an address always begins, and nothing grows beyond its limit.
    @Test(arguments: 1...20) func isBoundedAndKeepsNobodyOut(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var table = HandshakeTable(limits: limits)
        var live: Set<UInt64> = []
        for id in 1...2_000 {
            let id = UInt64(id)
            let isProven = random.next() % 3 != 0
            switch table.admit(id, subject: subject(UInt32(random.next() % 9)), isProven: isProven) {
            case .accept(let displaced):
                if let displaced { #expect(live.remove(displaced) != nil) }
                live.insert(id)
            case .proveAddress: #expect(!isProven)
            }
            #expect(table.count == live.count && table.count <= limits.total)
            for number in UInt32(0)..<9 { #expect(table.count(of: subject(number)) <= limits.perSubject) }
            if random.next() % 4 == 0, let some = live.min() {
                table.end(some)
                live.remove(some)
            }
        }
        for id in live { table.end(id) }
        #expect(table.isEmpty)
    }
}
