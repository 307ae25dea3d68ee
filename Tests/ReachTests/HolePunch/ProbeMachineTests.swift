import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PReach
@testable import DeP2PSessions

/// Rounds of probes, and what a hostile peer gets out of them.
@Suite struct ProbeMachineTests {
    private static let peer = v4(45, 20, 0, 1, 4001)
    private static let own = v4(192, 168, 1, 10, 4001)
    private static let rules = CandidateRules(
        rule: AddressRule(interfaces: [InterfaceAddress(own, prefixLength: 24)]), voucher: .member,
        sharesPublicAddress: false)
    private static let start = NetworkInstant.milliseconds(0)

    private func machine(_ seed: UInt64 = 1) -> ProbeMachine { ProbeMachine(random: SplitMix64(seed: seed)) }

    /// Everything that a round sends when nobody answers.
    private func whole(_ machine: inout ProbeMachine, _ targets: [SocketAddress]) -> [ProbeMachine.Transmission] {
        var sent = machine.begin(targets, rules: Self.rules, now: Self.start)
        while let wake = machine.wake { sent += machine.timerFired(now: wake) }
        return sent
    }

    @Test func everyTargetIsProbedInEachPassUntilItAnswers() {
        var machine = machine()
        let other = v4(45, 20, 0, 1, 4002)
        let sent = whole(&machine, [Self.peer, other])
        #expect(sent.count == 2 * ProbeMachine.passes.count)
        #expect(
            Set(sent.map(\.packet.sequence)).count == sent.count && Set(sent.map(\.packet.nonce)).count == sent.count)
        #expect(sent.prefix(2).map(\.destination) == [Self.peer, other])
    }

    @Test func aRoundKeepsItsLimitsWhateverThePeerLists() {
        var machine = machine()
        let targets = (0..<80).map { v4(45, 20, UInt8($0), 1, 4001) }
        var sent = machine.begin(targets, rules: Self.rules, now: Self.start)
        #expect(sent.count == ProbeMachine.burst, "at once")
        while let wake = machine.wake { sent += machine.timerFired(now: wake) }
        #expect(sent.count == ProbeMachine.roundLimit)
    }

    @Test func anAnswerMakesAPathOfTheAddressProbed() throws {
        var machine = machine()
        let probe = try #require(machine.begin([Self.peer], rules: Self.rules, now: Self.start).first)
        let seen = v4(45, 21, 0, 1, 50_000)
        let answer = ProbePacket(
            .answer, sequence: probe.packet.sequence, nonce: probe.packet.nonce, observed: seen)
        let now = NetworkInstant.milliseconds(40)
        let path = ProbeMachine.Path(remote: Self.peer, observed: seen, roundTrip: .milliseconds(40))
        #expect(machine.receive(answer, from: Self.peer, to: Self.own, now: now) == .answered(path))
        #expect(machine.paths == [path])
        #expect(machine.receive(answer, from: Self.peer, to: Self.own, now: now) == .ignored, "once")
        #expect(machine.timerFired(now: .milliseconds(100)).isEmpty, "what answered is not probed again")
    }

    @Test func anAnswerFromElsewhereOrWithAnotherNonceIsIgnored() throws {
        var machine = machine()
        let probe = try #require(machine.begin([Self.peer], rules: Self.rules, now: Self.start).first).packet
        let right = ProbePacket(.answer, sequence: probe.sequence, nonce: probe.nonce, observed: Self.own)
        let forged = ProbePacket(.answer, sequence: probe.sequence, nonce: probe.nonce &+ 1, observed: Self.own)
        let blank = ProbePacket(.answer, sequence: probe.sequence, nonce: probe.nonce)
        #expect(machine.receive(right, from: v4(45, 20, 0, 2, 4001), to: Self.own, now: Self.start) == .ignored)
        #expect(machine.receive(forged, from: Self.peer, to: Self.own, now: Self.start) == .ignored)
        #expect(machine.receive(blank, from: Self.peer, to: Self.own, now: Self.start) == .ignored)
        #expect(machine.paths.isEmpty)
    }

    @Test func anAddressThatOnlyAProbeShowedIsProbedToo() throws {
        var machine = machine()
        _ = machine.begin([Self.peer], rules: Self.rules, now: Self.start)
        let shown = v4(45, 20, 0, 1, 61_000)
        let incoming = ProbePacket(.probe, sequence: 1, nonce: 9)
        guard case .answer(let sent) = machine.receive(incoming, from: shown, to: Self.own, now: Self.start) else {
            Issue.record("no answer")
            return
        }
        #expect(sent.map(\.packet.kind) == [.answer, .probe] && sent.allSatisfy { $0.destination == shown })
        #expect(sent[0].packet.observed == shown && sent[0].packet.nonce == 9 && sent[0].source == Self.own)
        machine.end()
        let later = ProbePacket(.probe, sequence: 2, nonce: 9)
        let other = v4(45, 20, 0, 1, 61_001)
        guard case .answer(let rest) = machine.receive(later, from: other, to: Self.own, now: Self.start) else {
            Issue.record("no answer")
            return
        }
        #expect(rest.map(\.packet.kind) == [.answer], "outside of a round a probe is answered and no more")
    }

    /// Who repeats the peer's probes from a victim's address gets nothing sent there.
    @Test func aReplayedProbeGetsNoAnswer() {
        var machine = machine()
        let victim = v4(45, 99, 0, 1, 53)
        for number: UInt32 in [1, 2, 200, 199, 150] {
            let probe = ProbePacket(.probe, sequence: number, nonce: 1)
            #expect(machine.receive(probe, from: Self.peer, to: Self.own, now: Self.start) != .ignored)
            #expect(machine.receive(probe, from: victim, to: Self.own, now: Self.start) == .ignored)
        }
        for number: UInt32 in [0, 1, 72] {
            let probe = ProbePacket(.probe, sequence: number, nonce: 1)
            #expect(
                machine.receive(probe, from: victim, to: Self.own, now: Self.start) == .ignored, "too old: \(number)")
        }
    }

    @Test func answersAreLimited() {
        var machine = machine()
        let answered = (1...1_000).count { number in
            let probe = ProbePacket(.probe, sequence: UInt32(number), nonce: 1)
            return machine.receive(probe, from: Self.peer, to: Self.own, now: Self.start) != .ignored
        }
        #expect(answered == ProbeMachine.answerBurst)
    }
}
