import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PReach

/// What is sent when ports are guessed, and how often that may be.
@Suite struct BirthdayMachineTests {
    private static let peer = v4(45, 20, 0, 1, 4001)
    private static let start = NetworkInstant.milliseconds(1_000)
    private static let sockets = (0..<BirthdayMachine.socketCount).map { v4(192, 168, 1, 2, UInt16(10_000 + $0)) }

    private func machine(_ part: BirthdayMachine.Part, seed: UInt64 = 1) -> BirthdayMachine {
        var random = SplitMix64(seed: seed)
        return BirthdayMachine(part, random: &random, now: Self.start)
    }

    /// All that it sends when nobody answers, with the times.
    private func whole(_ machine: inout BirthdayMachine) -> [(at: NetworkInstant, shot: BirthdayMachine.Shot)] {
        var sent: [(NetworkInstant, BirthdayMachine.Shot)] = []
        while let wake = machine.wake { sent += machine.timerFired(now: wake).map { (wake, $0) } }
        return sent
    }

    /// The most within any second.
    private func rate(_ sent: [(at: NetworkInstant, shot: BirthdayMachine.Shot)]) -> Int {
        var (first, most) = (0, 0)
        for (index, item) in sent.enumerated() {
            while item.at.duration(since: sent[first].at) >= .seconds(1) { first += 1 }
            most = max(most, index - first + 1)
        }
        return most
    }

    @Test func whoGuessesTriesDifferentPortsWithinTheLimits() {
        var machine = machine(.guesses(peer: Self.peer.ip))
        let sent = whole(&machine)
        #expect(sent.count == BirthdayMachine.probeLimit && machine.sent == sent.count)
        #expect(Set(sent.map(\.shot.destination)).count == sent.count)
        #expect(sent.allSatisfy { $0.shot.source == nil && $0.shot.destination.ip == Self.peer.ip })
        #expect(sent.allSatisfy { $0.shot.destination.port >= BirthdayMachine.firstPort })
        #expect(rate(sent) <= 200)
    }

    @Test func whoOpensWritesFromEachSocketAFewTimes() {
        var machine = machine(.opens(Self.sockets, peer: Self.peer))
        let sent = whole(&machine)
        #expect(sent.count == BirthdayMachine.passes * Self.sockets.count && rate(sent) <= 200)
        #expect(sent.prefix(Self.sockets.count).map(\.shot.source) == Self.sockets.map { $0 })
        #expect(sent.allSatisfy { $0.shot.destination == Self.peer })
    }

    @Test("a way that something came by is probed at once and again, at the peer's address alone")
    func hits() {
        var machine = machine(.opens([Self.sockets[0]], peer: Self.peer))
        #expect(machine.timerFired(now: Self.start).count == 1)
        machine.hit(Self.sockets[0], at: v4(45, 20, 0, 2, 4001), now: Self.start)
        #expect(machine.timerFired(now: Self.start.advanced(by: .milliseconds(100))).isEmpty, "another's address")
        let now = Self.start.advanced(by: .milliseconds(200))
        machine.hit(Self.sockets[0], at: Self.peer, now: now)
        machine.hit(Self.sockets[0], at: Self.peer, now: now)
        #expect(machine.wake == now)
        let sent = whole(&machine)
        #expect(sent.count == BirthdayMachine.hitProbes + BirthdayMachine.passes - 1 && rate(sent) <= 200)
    }

    @Test func hitsDoNotAddToTheLimits() {
        var machine = machine(.guesses(peer: Self.peer.ip))
        var sent: [(at: NetworkInstant, shot: BirthdayMachine.Shot)] = []
        var port: UInt16 = 0
        while let wake = machine.wake {
            sent += machine.timerFired(now: wake).map { (wake, $0) }
            port += 1
            machine.hit(nil, at: SocketAddress(Self.peer.ip, port: port), now: wake)
        }
        #expect(sent.count == BirthdayMachine.probeLimit && rate(sent) <= 200)
    }

    /// The arithmetic that the requirement stands on.
    @Test("256 sockets are met by 1,024 guesses in 98 of 100 cases, by all of them in practically all")
    func chance() {
        var random = SplitMix64(seed: 5)
        let cases = 100
        var (early, late) = (0, 0)
        for seed in 0..<cases {
            var open: Set<UInt16> = []
            while open.count < BirthdayMachine.socketCount { open.insert(.random(in: 1_024...65_535, using: &random)) }
            var machine = machine(.guesses(peer: Self.peer.ip), seed: UInt64(seed))
            let ports = whole(&machine).map(\.shot.destination.port)
            if ports.prefix(1_024).contains(where: open.contains) { early += 1 }
            if ports.contains(where: open.contains) { late += 1 }
        }
        #expect(early >= cases * 96 / 100 && late >= cases * 99 / 100, "\(early) and \(late) of \(cases)")
    }
}

@Suite struct BirthdayGateTests {
    private static let ip = IPAddress(v4: 0x2d14_0001)
    private static let start = NetworkInstant.milliseconds(1_000)

    private func begins(
        _ gate: inout BirthdayGate, _ expected: Bool, at ip: IPAddress, isServed: Bool = false, now: NetworkInstant,
        location: SourceLocation = #_sourceLocation
    ) {
        let begins = gate.begin(at: ip, isServed: isServed, now: now)
        #expect(begins == expected, sourceLocation: location)
    }

    @Test func oneAtATime() {
        var gate = BirthdayGate()
        begins(&gate, true, at: Self.ip, now: Self.start)
        #expect(!gate.isOpen(isServed: false, now: Self.start))
        begins(&gate, false, at: IPAddress(v4: 0x2d14_0002), now: Self.start)
        gate.end(succeeded: true, sent: 10, now: Self.start)
        #expect(gate.isOpen(isServed: false, now: Self.start))
    }

    @Test("after each failure the pause at that address is twice as long, an hour at most; a success ends that")
    func pauses() {
        var gate = BirthdayGate()
        var now = Self.start
        for failure in 0..<9 {
            begins(&gate, true, at: Self.ip, now: now)
            gate.end(succeeded: false, sent: BirthdayMachine.probeLimit, now: now)
            let pause = min(BirthdayGate.firstPause * (1 << failure), BirthdayGate.longestPause)
            let late = now.advanced(by: pause)
            begins(&gate, false, at: Self.ip, now: now.advanced(by: pause - .milliseconds(1)))
            now = late
        }
        begins(&gate, true, at: Self.ip, now: now)
        gate.end(succeeded: true, sent: 100, now: now)
        now = now.advanced(by: BirthdayGate.pause)
        begins(&gate, true, at: Self.ip, now: now)
    }

    @Test("nobody has all of an hour's trials, whatever becomes of them, nor do all together have more")
    func hourly() {
        var gate = BirthdayGate()
        var (own, all) = (0, 0)
        for second in 0..<3_600 {
            let now = Self.start.advanced(by: .seconds(second))
            if gate.begin(at: Self.ip, isServed: false, now: now) {
                own += 1
                gate.end(succeeded: second % 2 == 0, sent: 0, now: now)
            }
        }
        #expect(own == BirthdayGate.hourlyAtOne)
        gate = BirthdayGate()
        for second in 0..<3_600 {
            let now = Self.start.advanced(by: .seconds(second))
            if gate.begin(at: IPAddress(v4: UInt32(0x2d15_0000 + second)), isServed: false, now: now) {
                all += 1
                gate.end(succeeded: false, sent: 2_048, now: now)
            }
        }
        #expect(all == BirthdayGate.hourly)
        begins(&gate, true, at: Self.ip, now: Self.start.advanced(by: .seconds(7_200)))
    }

    @Test("who dials this node again and again leaves trials to others who dial it, and all together some to itself")
    func shares() {
        var gate = BirthdayGate()
        var now = Self.start
        func trials(_ addresses: [UInt32], isServed: Bool, seconds: Int) -> Int {
            var count = 0
            for _ in 0..<seconds {
                now = now.advanced(by: .seconds(1))
                for address in addresses where gate.begin(at: IPAddress(v4: address), isServed: isServed, now: now) {
                    count += 1
                    gate.end(succeeded: true, sent: 10, now: now)
                }
            }
            return count
        }
        let taken = trials([0x2d15_0001, 0x2d15_0002, 0x2d15_0003], isServed: true, seconds: 600)
        #expect(taken == 3 + BirthdayGate.hourlyServedAgain)
        let others = trials((0..<20).map { 0x2d16_0000 + $0 }, isServed: true, seconds: 1)
        #expect(others == BirthdayGate.hourlyServed - taken)
        #expect(!gate.isOpen(isServed: true, now: now) && gate.isOpen(isServed: false, now: now))
        let own = trials([0x2d17_0001, 0x2d17_0002], isServed: false, seconds: 600)
        #expect(own == BirthdayGate.hourly - BirthdayGate.hourlyServed)
    }

    @Test func mappings() {
        func observation(_ observer: UInt8, _ port: UInt16, host: UInt8 = 1) -> PortPrediction.Observation {
            PortPrediction.Observation(observer: v4(45, 1, 1, observer, 3478), mapped: v4(45, 20, 0, host, port))
        }
        func mapping(_ observations: PortPrediction.Observation...) -> MappedPorts? {
            PortPrediction.mapping(observations)
        }
        #expect(mapping(observation(1, 4001), observation(2, 4001)) == .independent)
        #expect(mapping(observation(1, 9), observation(2, 4001), observation(3, 4001)) == .independent, "one lies")
        #expect(mapping(observation(1, 40_001), observation(2, 51_733)) == .random)
        #expect(mapping(observation(1, 4001), observation(2, 4002)) == nil, "in sequence: predicted, not guessed")
        #expect(mapping(observation(1, 4001)) == nil && mapping() == nil, "one alone shows nothing")
        #expect(mapping(observation(1, 4001), observation(2, 4001, host: 2)) == nil, "several addresses")
    }
}
