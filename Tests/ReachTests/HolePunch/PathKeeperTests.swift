import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PReach

/// Which path when, on virtual time.
@Suite struct PathKeeperTests {
    private static let path = ProbeMachine.Path(
        remote: v4(45, 20, 0, 1, 4001), observed: v4(45, 21, 0, 1, 4001), roundTrip: .milliseconds(40))
    private static let slow = ProbeMachine.Path(
        remote: v4(45, 20, 0, 1, 4002), observed: v4(45, 21, 0, 1, 4001), roundTrip: .milliseconds(90))

    /// A keeper on a straight path since time zero.
    private func straight() -> PathKeeper {
        var keeper = PathKeeper()
        _ = keeper.start(now: .milliseconds(0))
        _ = keeper.punched([Self.path], now: .milliseconds(0))
        _ = keeper.migrationEnded(true, now: .milliseconds(0))
        return keeper
    }

    /// Milliseconds until the keeper goes back, when nothing answers.
    private func timeToReturn(_ keeper: inout PathKeeper, isBusy: Bool) -> (milliseconds: Double, probes: Int) {
        var probes = 0
        while let wake = keeper.wake {
            for action in keeper.timerFired(isBusy: isBusy, now: wake) {
                if case .goBack = action { return (wake.duration(since: .milliseconds(0)).milliseconds, probes) }
                if case .probe = action { probes += 1 }
            }
        }
        return (.infinity, probes)
    }

    @Test func theFastestPathIsTakenAndTheNextWhenQUICDoesNotGetThrough() {
        var keeper = PathKeeper()
        #expect(keeper.start(now: .milliseconds(0)) == [.punch])
        #expect(keeper.punched([Self.slow, Self.path], now: .milliseconds(300)) == [.migrate(Self.path)])
        #expect(keeper.migrationEnded(false, now: .milliseconds(900)) == [.migrate(Self.slow)])
        #expect(keeper.migrationEnded(false, now: .milliseconds(1_500)).isEmpty)
        #expect(keeper.wake == .milliseconds(2_500))
        #expect(keeper.timerFired(isBusy: true, now: .milliseconds(2_500)) == [.punch])
    }

    @Test func roundsThatFailBackOff() {
        var keeper = PathKeeper()
        var now = NetworkInstant.milliseconds(0)
        _ = keeper.start(now: now)
        var waits: [Double] = []
        for _ in 0..<9 {
            _ = keeper.punched([], now: now)
            guard let wake = keeper.wake else { break }
            waits.append(wake.duration(since: now).seconds)
            now = wake
            #expect(keeper.timerFired(isBusy: false, now: now) == [.punch])
        }
        #expect(waits == [1, 2, 4, 8, 16, 32, 60, 60, 60])
        _ = keeper.punched([], now: now)
        keeper.encourage(now: now)
        #expect(keeper.wake?.duration(since: now) ?? .seconds(60) <= .seconds(1), "a changed network is tried at once")
    }

    @Test func aDeadPathIsLeftInTime() {
        var busy = straight()
        let (time, probes) = timeToReturn(&busy, isBusy: true)
        #expect(time <= 2_500 && time >= 1_600 && probes >= PathKeeper.unansweredLimit)
        var idle = straight()
        #expect(timeToReturn(&idle, isBusy: false).milliseconds <= 4_500)
    }

    @Test func aLivingPathIsProbedOnlyInSilence() {
        var keeper = straight()
        var probes = 0
        for second in 1...60 {
            let now = NetworkInstant.milliseconds(UInt64(second) * 1_000)
            keeper.heard(now: now)
            while let wake = keeper.wake, wake <= now { probes += keeper.timerFired(isBusy: true, now: now).count }
        }
        #expect(probes == 0)
    }

    @Test func lostProbesAreNoDeath() {
        var keeper = straight()
        var count = 0
        while let wake = keeper.wake, wake < .milliseconds(600_000) {
            for action in keeper.timerFired(isBusy: true, now: wake) {
                #expect(action == .probe(Self.path.remote))
                count += 1
                if count % 4 == 3 { keeper.heard(now: wake) }
            }
        }
    }

    @Test func aPathThatKeepsDyingIsTriedEverMoreSeldom() {
        var keeper = straight()
        var now = NetworkInstant.milliseconds(0)
        var waits: [Double] = []
        for _ in 0..<5 {
            while let wake = keeper.wake {
                now = wake
                if keeper.timerFired(isBusy: true, now: now).contains(.goBack(.known)) { break }
            }
            _ = keeper.migrationEnded(true, now: now)
            guard let wake = keeper.wake else { break }
            waits.append(wake.duration(since: now).seconds)
            now = wake
            _ = keeper.timerFired(isBusy: true, now: now)
            _ = keeper.punched([Self.path], now: now)
            _ = keeper.migrationEnded(true, now: now)
        }
        #expect(waits == [1, 2, 4, 8, 16])
    }

    @Test func aRelayThatDoesNotAnswerIsAskedAgain() {
        var keeper = straight()
        _ = timeToReturn(&keeper, isBusy: true)
        _ = keeper.migrationEnded(false, now: .milliseconds(3_000))
        #expect(keeper.wake == .milliseconds(3_250))
        #expect(keeper.timerFired(isBusy: true, now: .milliseconds(3_250)) == [.goBack(.other)])
    }

    @Test func aRelayThatStaysAwayIsAskedMoreSeldom() {
        var keeper = PathKeeper()
        _ = keeper.start(punches: false, now: .milliseconds(0))
        var attempts = keeper.relayLost(now: .milliseconds(0)).count
        var now = NetworkInstant.milliseconds(0)
        while now < .milliseconds(30_000) {
            _ = keeper.migrationEnded(false, now: now)
            guard let wake = keeper.wake else { break }
            now = wake
            attempts += keeper.timerFired(isBusy: true, now: now).count
        }
        // A relay takes 120 requests of a node in a minute.
        #expect(attempts > 40 && attempts < 50, "\(attempts)")
    }

    @Test func aLostRelayMattersOnlyWhereItCarries() {
        var keeper = straight()
        #expect(keeper.relayLost(now: .milliseconds(10)).isEmpty)
        var relayed = PathKeeper()
        _ = relayed.start(now: .milliseconds(0))
        #expect(relayed.relayLost(now: .milliseconds(10)) == [.goBack(.other)])
        #expect(relayed.punched([Self.path], now: .milliseconds(20)).isEmpty, "the round it interrupted is void")
        relayed.stop()
        #expect(relayed.wake == nil)
    }
}
