import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PReach

@Suite struct RelayStateMachineTests {
    private let now = NetworkInstant(nanoseconds: 1_000_000_000_000)
    private let nodes = (0..<6).map { _ in IdentityKey.generate().nodeID }

    private func client(_ index: Int, ip: UInt32? = nil) -> RelayMachine.Client {
        RelayMachine.Client(
            nodeID: nodes[index], session: UInt64(index),
            subject: Subject(IPAddress(v4: ip ?? 0x0a00_0001 + UInt32(index) << 8)))
    }

    private func machine(_ change: (inout RelayLimits) -> Void = { _ in }) -> RelayMachine {
        var limits = RelayLimits()
        change(&limits)
        return RelayMachine(limits: limits)
    }

    private func refusal(_ name: String, _ maximum: Int) -> RelayError { .limit(name, maximum) }

    @Test func oneSlotANode() {
        var machine = machine { $0.reservations = 1 }
        #expect(machine.reserve(client(0), now: now) == .granted(isRenewal: false))
        #expect(machine.reserve(client(0), now: now) == .granted(isRenewal: true))
        #expect(machine.reservationCount == 1)
        #expect(machine.reserve(client(1), now: now) == .refused(refusal("reservations", 1)))
        #expect(machine.reserve(client(0), now: now) == .granted(isRenewal: true))
    }

    @Test func addressesAndSubnetsHaveQuotas() {
        var machine = machine {
            $0.reservationsPerAddress = 1
            $0.reservationsPerSubnet = 2
        }
        #expect(machine.reserve(client(0, ip: 0x0102_0301), now: now) == .granted(isRenewal: false))
        let perAddress = machine.reserve(client(1, ip: 0x0102_0301), now: now)
        #expect(perAddress == .refused(refusal("reservations-per-ip", 1)))
        #expect(machine.reserve(client(1, ip: 0x0102_0302), now: now) == .granted(isRenewal: false))
        let perSubnet = machine.reserve(client(2, ip: 0x0102_03ff), now: now)
        #expect(perSubnet == .refused(refusal("reservations-per-subnet", 2)))
        #expect(machine.reserve(client(2, ip: 0x0102_0401), now: now) == .granted(isRenewal: false))
        _ = machine.connectionClosed(client(0, ip: 0x0102_0301))
        #expect(machine.reserve(client(3, ip: 0x0102_0301), now: now) == .granted(isRenewal: false))
    }

    @Test func aReservationRunsOut() {
        var machine = machine { $0.reservationTime = .seconds(60) }
        _ = machine.reserve(client(0), now: now)
        let late = now.advanced(by: .seconds(60))
        #expect(machine.connect(client(1), to: nodes[0], now: late) == .refused(RelayError(.noReservation)))
        #expect(machine.timerFired(now: late).expired == [nodes[0]])
        #expect(machine.isEmpty)
    }

    @Test func circuitsHaveQuotas() {
        var machine = machine {
            $0.circuits = 3
            $0.circuitsPerNode = 2
        }
        for index in 0..<3 { _ = machine.reserve(client(index), now: now) }
        #expect(machine.connect(client(3), to: nodes[0], now: now) == .ask(circuit: 1, session: 0))
        #expect(machine.connect(client(3), to: nodes[1], now: now) == .ask(circuit: 2, session: 1))
        for circuit in [UInt64(1), 2] { machine.confirm(circuit) }
        let perNode = machine.connect(client(3), to: nodes[2], now: now)
        #expect(perNode == .refused(refusal("circuits-per-node", 2)))
        #expect(machine.connect(client(4), to: nodes[0], now: now) == .ask(circuit: 3, session: 0))
        machine.confirm(3)
        #expect(machine.connect(client(5), to: nodes[1], now: now) == .refused(refusal("circuits", 3)))
        machine.end(1)
        machine.end(1)
        let perTarget = machine.connect(client(5), to: nodes[0], now: now)
        #expect(perTarget == .ask(circuit: 4, session: 0))
    }

    @Test func circuitsOfAnAddressHaveQuotas() {
        var machine = machine {
            $0.circuitsPerAddress = 1
            $0.circuitsPerSubnet = 2
        }
        for index in 0..<2 { _ = machine.reserve(client(index), now: now) }
        #expect(machine.connect(client(2, ip: 0x0102_0301), to: nodes[0], now: now) == .ask(circuit: 1, session: 0))
        let same = machine.connect(client(3, ip: 0x0102_0301), to: nodes[0], now: now)
        #expect(same == .refused(refusal("circuits-per-ip", 1)))
        #expect(machine.connect(client(3, ip: 0x0102_0302), to: nodes[0], now: now) == .ask(circuit: 2, session: 0))
        let near = machine.connect(client(4, ip: 0x0102_0303), to: nodes[0], now: now)
        #expect(near == .refused(refusal("circuits-per-subnet", 2)))
    }

    @Test func theEndOfAConnectionEndsItsCircuits() {
        var machine = machine()
        for index in 0..<2 { _ = machine.reserve(client(index), now: now) }
        _ = machine.connect(client(2), to: nodes[0], now: now)
        _ = machine.connect(client(2), to: nodes[1], now: now)
        _ = machine.connect(client(3), to: nodes[1], now: now)
        let target = machine.connectionClosed(client(1))
        #expect(target.circuits == [2, 3] && target.heldReservation)
        for circuit in target.circuits { machine.end(circuit) }
        let source = machine.connectionClosed(client(2))
        #expect(source.circuits == [1] && !source.heldReservation)
    }

    @Test func aRenewalOverAnotherConnectionOutlivesTheFirst() {
        var machine = machine()
        _ = machine.reserve(client(0), now: now)
        let second = RelayMachine.Client(nodeID: nodes[0], session: 99, subject: .relay(1))
        #expect(machine.reserve(second, now: now) == .granted(isRenewal: true))
        #expect(!machine.connectionClosed(client(0)).heldReservation)
        #expect(machine.connect(client(1), to: nodes[0], now: now) == .ask(circuit: 1, session: 99))
    }

    @Test func timeEndsOnlyOpenCircuits() {
        var machine = machine { $0.circuitTime = .seconds(10) }
        _ = machine.reserve(client(0), now: now)
        _ = machine.connect(client(1), to: nodes[0], now: now)
        _ = machine.connect(client(2), to: nodes[0], now: now)
        machine.targetAccepted(2, now: now)
        for circuit in [UInt64(1), 2] { machine.confirm(circuit) }
        #expect(machine.timerFired(now: now.advanced(by: .seconds(9))).overdue == [])
        #expect(machine.timerFired(now: now.advanced(by: .seconds(10))).overdue == [2])
    }

    @Test func requestsHaveARate() {
        var machine = machine { $0.requestsPerMinute = 60 }
        for _ in 0..<60 { _ = machine.connect(client(0), to: nodes[1], now: now) }
        #expect(machine.connect(client(0), to: nodes[1], now: now) == .refused(refusal("requests-per-minute", 60)))
        #expect(machine.connect(client(2), to: nodes[1], now: now) == .refused(RelayError(.noReservation)))
        let soon = now.advanced(by: .seconds(59))
        #expect(machine.connect(client(0), to: nodes[1], now: soon) == .refused(refusal("requests-per-minute", 60)))
        let later = now.advanced(by: .seconds(61))
        #expect(machine.connect(client(0), to: nodes[1], now: later) == .refused(RelayError(.noReservation)))
    }

    /// Asked for ten times a second, so many are answered in any minute: whatever the limit is, that is it.
    @Test(arguments: [1, 2, 7, 59, 60, 61, 119, 120, 599, 600, 1_000])
    func requestsOfAMinute(limit: Int) {
        var machine = machine { $0.requestsPerMinute = limit }
        var answered: [Int] = []
        for tick in 0..<3_000 {
            let instant = now.advanced(by: .milliseconds(100 * tick + 50))
            if machine.connect(client(0), to: nodes[1], now: instant) == .refused(RelayError(.noReservation)) {
                answered.append(tick)
            }
        }
        var most = 0
        for (index, tick) in answered.enumerated() {
            most = max(most, answered[index...].prefix { $0 < tick + 600 }.count)
        }
        #expect(most == min(limit, 600))
        // As many at once; and after five minutes not less than what four and nine tenths allow.
        #expect(answered.prefix(min(limit, 600)).elementsEqual(0..<min(limit, 600)))
        #expect(answered.count >= min(limit * 4, 3_000))
    }

    @Test func nobodyConnectsToItself() {
        var machine = machine()
        _ = machine.reserve(client(0), now: now)
        #expect(machine.connect(client(0), to: nodes[0], now: now) == .refused(RelayError(.noReservation)))
    }

    @Test func whoIsThereAlreadyRenewsThoughThereIsLittleLeft() {
        var machine = machine {
            $0.reservations = 4
            $0.reservationsPerAddress = 8
            $0.reservationsPerSubnet = 8
        }
        for index in 0..<3 { _ = machine.reserve(client(index, ip: 0x0102_0301), now: now) }
        // Of the last quarter one subject gets an eighth of its quota.
        let more = machine.reserve(client(3, ip: 0x0102_0301), now: now)
        #expect(more == .refused(refusal("reservations-per-ip", 8)))
        #expect(machine.reserve(client(4), now: now) == .granted(isRenewal: false))
        _ = machine.connectionClosed(client(4))
        #expect(machine.reserve(client(0, ip: 0x0102_0301), now: now) == .granted(isRenewal: true))
    }

    @Test func aSubjectHasARateForAllItsNodes() {
        var machine = machine { $0.requestsPerMinute = 60 }
        let here = Subject(IPAddress(v4: 0x0102_0301))
        func ask(_ client: RelayMachine.Client) -> RelayMachine.OnConnect {
            machine.connect(client, to: nodes[1], now: now)
        }
        #expect(machine.reserve(client(4, ip: 0x0102_0301), now: now) == .granted(isRenewal: false))
        // The reservation was a stranger's request too.
        let all = 60 * RelayMachine.requestersPerSubject - 1
        for index in 0..<all {
            let client = RelayMachine.Client(
                nodeID: IdentityKey.generate().nodeID, session: UInt64(index), subject: here)
            #expect(ask(client) == .refused(RelayError(.noReservation)))
        }
        #expect(ask(client(5, ip: 0x0102_0301)) == .refused(refusal("requests-per-minute", 60)))
        #expect(ask(client(5)) == .refused(RelayError(.noReservation)))
        // A member, and who holds a reservation, are not cut off by neighbours, nor by their own refusals more than others.
        var member = client(3, ip: 0x0102_0301)
        member.isMember = true
        for _ in 0..<60 { #expect(ask(member) == .refused(RelayError(.noReservation))) }
        #expect(ask(member) == .refused(refusal("requests-per-minute", 60)))
        for _ in 0..<59 { #expect(ask(client(4, ip: 0x0102_0301)) == .refused(RelayError(.noReservation))) }
        #expect(ask(client(4, ip: 0x0102_0301)) == .refused(refusal("requests-per-minute", 60)))
    }

    @Test func strangersDoNotFillTheQuotasOfMembers() {
        var machine = machine {
            $0.reservationsPerAddress = 1
            $0.reservationsPerSubnet = 1
            $0.circuitsPerAddress = 1
            $0.circuitsPerSubnet = 1
        }
        var member = client(1, ip: 0x0102_0301)
        member.isMember = true
        #expect(machine.reserve(client(0, ip: 0x0102_0301), now: now) == .granted(isRenewal: false))
        #expect(machine.connect(client(2, ip: 0x0102_0301), to: nodes[0], now: now) == .ask(circuit: 1, session: 0))
        #expect(machine.reserve(member, now: now) == .granted(isRenewal: false))
        #expect(machine.connect(member, to: nodes[0], now: now) == .ask(circuit: 2, session: 0))
        var another = client(3, ip: 0x0102_0301)
        another.isMember = true
        #expect(machine.reserve(another, now: now) == .refused(refusal("reservations-per-ip", 1)))
    }

    @Test func requestersAreForgotten() {
        var machine = machine { $0.requestsPerMinute = 1 }
        for index in 0..<(RelayMachine.requestersRemembered * 2) {
            let subject = Subject(IPAddress(v4: UInt32(0x0100_0000 + index)))
            let client = RelayMachine.Client(nodeID: nodes[0], session: UInt64(index), subject: subject)
            _ = machine.connect(client, to: nodes[1], now: now.advanced(by: .seconds(index)))
        }
        #expect(machine.requesterCount <= RelayMachine.requestersRemembered)
        // All at once, of whom none can be forgotten yet.
        for index in 0..<(RelayMachine.requestersRemembered * 2) {
            let subject = Subject(IPAddress(v4: UInt32(0x0200_0000 + index)))
            let client = RelayMachine.Client(nodeID: nodes[0], session: UInt64(index), subject: subject)
            _ = machine.connect(client, to: nodes[1], now: now.advanced(by: .seconds(100_000)))
            #expect(machine.requesterCount <= RelayMachine.requestersRemembered)
        }
    }
}
