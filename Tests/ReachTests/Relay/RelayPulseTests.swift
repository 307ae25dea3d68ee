import DeP2PReactor
import DeP2PTestSupport
import Testing

@testable import DeP2PReach

/// When a relay is asked whether it is there, and when it counts as silent.
@Suite struct RelayPulseTests {
    private let start = NetworkInstant(nanoseconds: 1_000_000_000_000)

    private func at(_ seconds: Double) -> NetworkInstant { start.advanced(by: .seconds(seconds)) }

    private func signs(
        heard: Double, answered: Double? = nil, acknowledged: Double? = nil, frames: UInt64 = 0,
        roundTrip: Duration = .milliseconds(40),
        rest: Duration? = nil
    ) -> RelayPulse.Signs {
        RelayPulse.Signs(
            heardAt: at(heard), answeredAt: at(answered ?? heard),
            acknowledgedAt: at(acknowledged ?? answered ?? heard), frames: frames, roundTrip: roundTrip, rest: rest)
    }

    /// What it finds, and when, as long as nothing comes; at most `count` findings.
    private func findings(
        _ pulse: inout RelayPulse, _ signs: RelayPulse.Signs, count: Int
    ) -> [(at: Double, RelayPulse.Finding)] {
        var found: [(Double, RelayPulse.Finding)] = []
        while found.count < count, let due = pulse.due(signs) {
            if let finding = pulse.look(signs, now: due) { found.append((due.duration(since: start).seconds, finding)) }
        }
        return found
    }

    @Test func whereNothingIsUnderWayNobodyIsAsked() {
        var pulse = RelayPulse()
        #expect(pulse.look(signs(heard: 0), now: at(60)) == nil && pulse.due(signs(heard: 0)) == nil)
        // An idle connection's keep-alives are no traffic.
        #expect(pulse.look(signs(heard: 61, answered: 0, frames: 4), now: at(70)) == nil)
    }

    @Test func anIdleReservationsRelayIsSilentWithinThreeSeconds() {
        var pulse = RelayPulse()
        let found = findings(&pulse, signs(heard: 0, rest: .milliseconds(1_500)), count: 5)
        #expect(found.map(\.1) == [.ask, .ask, .ask, .silent, .ask])
        #expect(found[0].at == 1.5 && found[3].at == 2.25)
    }

    @Test func framesThatAreFollowedByNothingAreAskedAfterAtOnce() {
        var pulse = RelayPulse()
        _ = pulse.look(signs(heard: 0), now: at(0))
        let after = signs(heard: 5, answered: 0, frames: 1_000)
        let found = findings(&pulse, after, count: 4)
        #expect(found.map(\.at) == [5.25, 5.5, 5.75, 6] && found.map(\.1).last == .silent)
        #expect(pulse.isSilent(after) && !pulse.isSilent(signs(heard: 7, frames: 1_000)))
        #expect(pulse.look(signs(heard: 7, frames: 1_000), now: at(7)) == .heard)
        #expect(!pulse.isSilent(after))
        #expect(pulse.due(signs(heard: 7, frames: 1_000)) == nil, "it has answered, and nothing moved since")
    }

    @Test func aFlowThatPausesCostsOneQuestion() {
        var pulse = RelayPulse()
        _ = pulse.look(signs(heard: 0), now: at(0))
        #expect(pulse.look(signs(heard: 5, answered: 0, frames: 500), now: at(5.25)) == .ask)
        #expect(pulse.look(signs(heard: 5.29, frames: 500), now: at(5.5)) == nil)
        #expect(pulse.due(signs(heard: 5.29, frames: 500)) == nil)
    }

    @Test func aSlowPathHasItsTime() {
        var pulse = RelayPulse()
        let slow = signs(heard: 0, frames: 100, roundTrip: .milliseconds(600))
        _ = pulse.look(signs(heard: 0, roundTrip: .milliseconds(600)), now: at(0))
        #expect(pulse.look(slow, now: at(1.1)) == nil)
        let found = findings(
            &pulse, signs(heard: 1.4, answered: 0, frames: 200, roundTrip: .milliseconds(600)), count: 4)
        #expect(found.map(\.1).last == .silent && found[3].at >= 1.4 + 1.2 + 2.4)
    }

    @Test func afterAChangeOfTheNetworkItIsAskedAtOnce() {
        var pulse = RelayPulse()
        let quiet = signs(heard: 0, rest: .seconds(10))
        _ = pulse.look(quiet, now: at(0))
        pulse.doubt(now: at(2))
        let found = findings(&pulse, quiet, count: 1)
        #expect(found.map(\.1) == [.ask])
        #expect(pulse.look(signs(heard: 2.1, rest: .seconds(10)), now: at(2.1)) == nil)
    }

    /// What the relay sends still comes in the old way; what this node sends goes out another, and arrives nowhere.
    @Test func whoHearsAndIsNotHeardFindsOutAfterAChangeOfTheNetwork() {
        var pulse = RelayPulse()
        _ = pulse.look(signs(heard: 0, frames: 100), now: at(0))
        pulse.doubt(now: at(2))
        // What was under way before is still acknowledged.
        var found: [RelayPulse.Finding] = []
        for step in 0..<20 {
            let time = 2 + Double(step) * 0.1
            let seen = signs(heard: time - 0.01, acknowledged: 2.03, frames: 100 + UInt64(step) * 10)
            if let finding = pulse.look(seen, now: at(time)) { found.append(finding) }
        }
        #expect(found.prefix(4).elementsEqual([.ask, .ask, .ask, .silent]))
        #expect(pulse.isSilent(signs(heard: 4, acknowledged: 2.03)) && !pulse.isSilent(signs(heard: 4)))
        // The same, where its questions are answered.
        pulse = RelayPulse()
        _ = pulse.look(signs(heard: 0, frames: 100), now: at(0))
        pulse.doubt(now: at(2))
        #expect(pulse.look(signs(heard: 1.9, frames: 100), now: at(2)) == .ask)
        let answer = signs(heard: 2.06, acknowledged: 2.06, frames: 104)
        #expect(pulse.look(answer, now: at(2.3)) == nil && !pulse.isSilent(answer))
    }

    /// Each peer that falls silent makes a doubt; many do when the network dies.
    @Test func doubtsWithoutEndHideNoSilence() {
        var pulse = RelayPulse()
        _ = pulse.look(signs(heard: 0, frames: 100), now: at(0))
        var silentAt: Double?
        for step in 0..<60 where silentAt == nil {
            let time = 2 + Double(step) * 0.05
            pulse.doubt(now: at(time))
            if pulse.look(signs(heard: 1.9, frames: 100), now: at(time)) == .silent { silentAt = time }
        }
        #expect(silentAt.map { $0 <= 3 } ?? false, "\(String(describing: silentAt))")
    }
}
