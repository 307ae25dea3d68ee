import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PReach

@Suite struct ReachabilityStateMachineTests {
    static let here = v4(45, 20, 0, 1, 4001)
    static let mapped = v4(45, 20, 0, 1, 40_000)
    static let start = NetworkInstant.milliseconds(0)

    /// Takes what a mutating call gave, which the macro cannot make.
    private func expect(
        _ actions: [ReachabilityMachine.Action], _ expected: [ReachabilityMachine.Action],
        at place: SourceLocation = #_sourceLocation
    ) {
        #expect(actions == expected, sourceLocation: place)
    }

    /// What server `id` found out, on a subject of its own: `reached` with what would prove each address.
    private func voice(
        _ id: UInt64, _ reached: [SocketAddress: Bool], proof: ReachabilityMachine.Proof = .own,
        sees observed: SocketAddress = here, isWitness: Bool = true
    ) -> ReachabilityMachine.Voice {
        ReachabilityMachine.Voice(
            subject: .relay(id), isWitness: isWitness, observed: observed,
            trials: reached.mapValues { ReachabilityMachine.Trial(isReachable: $0, proof: proof) })
    }

    /// A machine whose servers 1… have been asked for the first time.
    private func asking(_ servers: UInt64 = 1) -> (ReachabilityMachine, NetworkInstant) {
        var machine = ReachabilityMachine()
        for id in 1...servers { machine.serverOpened(id, .relay(id), now: Self.start) }
        let now = Self.start.advanced(by: ReachabilityMachine.settling)
        #expect(machine.wake == now)
        expect(machine.timerFired(now: now), (1...servers).map { .ask($0, round: 0) })
        return (machine, now)
    }

    @Test("nothing is known until somebody has tried")
    func unknown() {
        var machine = ReachabilityMachine()
        #expect(machine.state == .unknown)
        #expect(machine.wake == nil)
        expect(machine.timerFired(now: Self.start), [])
        let (asked, _) = asking()
        #expect(asked.state == .unknown)
    }

    @Test("one address that was reached makes a node public; several that were not make it private")
    func verdicts() {
        var (machine, now) = asking(2)
        expect(machine.answered(1, round: 0, voice(1, [Self.here: false, Self.mapped: false]), now: now), [.changed])
        #expect(machine.state == .unreachable)
        #expect(machine.refuted == [Self.here, Self.mapped])
        expect(machine.answered(2, round: 0, voice(2, [Self.here: false, Self.mapped: true]), now: now), [.changed])
        #expect(machine.state == .reachable)
        #expect(machine.verified == [Self.mapped])
        #expect(machine.refuted == [Self.here])
        // The same answer again is no news.
        expect(machine.answered(2, round: 0, voice(2, [Self.here: false, Self.mapped: true]), now: now), [])
        // What a server says takes the place of what it said before.
        expect(machine.answered(2, round: 0, voice(2, [Self.here: false]), now: now), [.changed])
        #expect(machine.state == .unreachable)
    }

    @Test("a server is asked again after a while, sooner after a failure, never when it can't")
    func repetition() {
        var (machine, now) = asking(3)
        _ = machine.answered(1, round: 0, voice(1, [Self.here: true]), now: now)
        machine.failed(2, round: 0, isFinal: false, now: now)
        machine.failed(3, round: 0, isFinal: true, now: now)
        now = now.advanced(by: ReachabilityMachine.patience)
        expect(machine.timerFired(now: now), [.ask(2, round: 0)])
        machine.failed(2, round: 0, isFinal: true, now: now)
        now = now.advanced(by: ReachabilityMachine.repetition)
        expect(machine.timerFired(now: now), [.ask(1, round: 0)])
        machine.serverClosed(1)
        expect(machine.timerFired(now: now.advanced(by: .seconds(100))), [])
    }

    @Test("a verdict that nobody renews runs out")
    func expiry() {
        var (machine, now) = asking()
        _ = machine.answered(1, round: 0, voice(1, [Self.here: true]), now: now)
        machine.serverClosed(1)
        now = now.advanced(by: ReachabilityMachine.lifetime)
        #expect(machine.wake == now)
        #expect(machine.state == .reachable)
        expect(machine.timerFired(now: now), [.changed])
        #expect(machine.state == .unknown)
        #expect(machine.wake == nil)
    }

    @Test("a changed network forgets everything, also what is still being asked")
    func networkChange() {
        var (machine, now) = asking(2)
        _ = machine.answered(1, round: 0, voice(1, [Self.here: true]), now: now)
        expect(machine.networkChanged(now: now), [.changed])
        #expect(machine.state == .unknown)
        expect(machine.answered(2, round: 0, voice(2, [Self.here: true]), now: now), [])
        #expect(machine.state == .unknown)
        now = now.advanced(by: ReachabilityMachine.settling)
        expect(machine.timerFired(now: now), [.ask(1, round: 1), .ask(2, round: 1)])
    }

    @Test("a new port is tried at once, also when it came while a server was being asked")
    func portChange() {
        var (machine, now) = asking(2)
        _ = machine.answered(1, round: 0, voice(1, [Self.here: false]), now: now)
        machine.portsChanged(now: now)
        now = now.advanced(by: .seconds(1))
        expect(machine.timerFired(now: now), [.ask(1, round: 0)])
        _ = machine.answered(2, round: 0, voice(2, [Self.here: false]), now: now)
        now = now.advanced(by: ReachabilityMachine.settling)
        expect(machine.timerFired(now: now), [.ask(2, round: 0)])
    }

    @Test("no more servers are asked, of all and of one subject, and no more addresses remembered, than the limits say")
    func limits() {
        var machine = ReachabilityMachine()
        for id in 1...100 { machine.serverOpened(UInt64(id), .relay(UInt64(id % 2)), now: Self.start) }
        let now = Self.start.advanced(by: .seconds(1))
        #expect(machine.timerFired(now: now).count == ReachabilityMachine.serversPerSubject * 2)
        for id in 101...200 { machine.serverOpened(UInt64(id), .relay(UInt64(id)), now: now) }
        let later = now.advanced(by: .seconds(1))
        #expect(machine.timerFired(now: later).count <= ReachabilityMachine.serverLimit)
        for id in 1...100 {
            let addresses = (1...4).map { v4(45, 20, UInt8(id), UInt8($0), 4001) }
            let reached = Dictionary(uniqueKeysWithValues: addresses.map { ($0, true) })
            _ = machine.answered(UInt64(id), round: 0, voice(UInt64(id), reached), now: now)
        }
        #expect(machine.verified.count <= ReachabilityMachine.voiceLimit * DialBackMessage.probeLimit)
    }

    @Test("an address that is not known to be this node's takes two subjects that see it there")
    func proofs() {
        var (machine, now) = asking(3)
        let victim = v4(45, 99, 0, 1, 443)
        expect(
            machine.answered(1, round: 0, voice(1, [victim: true], proof: .sameAddress, sees: victim), now: now), [])
        #expect(machine.state == .unknown && machine.verified.isEmpty && machine.refuted.isEmpty)
        expect(machine.answered(2, round: 0, voice(2, [Self.here: true], proof: .sameAddress), now: now), [])
        // The third has not got through, but sees the same: that the second has is enough.
        expect(
            machine.answered(3, round: 0, voice(3, [Self.here: false], proof: .sameAddress), now: now), [.changed])
        #expect(machine.state == .reachable && machine.verified == [Self.here])
        // One port off is another host's, behind the same NAT.
        let neighbour = SocketAddress(Self.here.ip, port: 5000)
        _ = machine.answered(1, round: 0, voice(1, [neighbour: true], proof: .sameAddress, sees: neighbour), now: now)
        #expect(machine.verified == [Self.here])
        _ = machine.answered(1, round: 0, voice(1, [Self.mapped: true], proof: .sameIP, sees: neighbour), now: now)
        #expect(machine.verified == [Self.mapped, Self.here])
    }

    @Test("a subject has one voice, and whom a peer has chosen has none for what it sees")
    func voices() {
        var (machine, now) = asking(2)
        let seen = ReachabilityMachine.Voice(
            subject: .relay(1), isWitness: true, observed: Self.here,
            trials: [Self.here: ReachabilityMachine.Trial(isReachable: true, proof: .sameAddress)])
        _ = machine.answered(1, round: 0, seen, now: now)
        _ = machine.answered(2, round: 0, seen, now: now)
        #expect(machine.state == .unknown)
        _ = machine.answered(
            2, round: 0, voice(2, [Self.here: true], proof: .sameAddress, isWitness: false), now: now)
        #expect(machine.state == .unknown)
        _ = machine.answered(2, round: 0, voice(2, [Self.here: true], proof: .sameAddress), now: now)
        #expect(machine.state == .reachable)
    }
}

@Suite struct DialBackLimiterTests {
    static let now = NetworkInstant.milliseconds(0)
    static let node = AskerNames.ids

    @Test("one asker, by its NodeID or its address, gets a few a minute; everyone together some more")
    func limits() {
        func taken(_ count: Int, _ limiter: inout DialBackLimiter, _ ask: (Int) -> (Int, SocketAddress)) -> Int {
            (0..<count).count { index in
                let (node, address) = ask(index)
                return limiter.take(Self.node[node % Self.node.count], Subject(address.ip), now: Self.now)
            }
        }
        var sameNode = DialBackLimiter()
        #expect(taken(50, &sameNode) { (0, v4(45, 0, 0, UInt8($0), 1)) } == DialBackLimiter.perAsker)
        var sameAddress = DialBackLimiter()
        #expect(taken(50, &sameAddress) { ($0, v4(45, 0, 0, 1, 1)) } == DialBackLimiter.perAsker)
        var sameHousehold = DialBackLimiter()
        #expect(
            taken(50, &sameHousehold) { ($0, v6(0x2600_0000_0000_0001, UInt64($0), 1)) } == DialBackLimiter.perAsker)
        var sameSubnet = DialBackLimiter()
        #expect(taken(50, &sameSubnet) { ($0, v4(45, 0, 0, UInt8($0), 1)) } == DialBackLimiter.perSubnet)
        var everyone = DialBackLimiter()
        #expect(taken(250, &everyone) { ($0, v4(45, 0, UInt8($0), 1, 1)) } == DialBackLimiter.total)
        let later = everyone.take(
            Self.node[0], Subject(v4(45, 0, 0, 1, 1).ip), now: Self.now.advanced(by: .seconds(61)))
        #expect(later)
    }
}

/// NodeIDs enough to tell apart.
enum AskerNames {
    static let ids = (0..<300).map { _ in IdentityKey.generate().nodeID }
}
