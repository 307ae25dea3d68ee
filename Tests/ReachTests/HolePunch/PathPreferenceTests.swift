import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PReach
@testable import DeP2PSessions

/// Which straight path is better, and when one is looked for.
@Suite struct PathPreferenceTests {
    private let preference = PathPreference(
        rule: AddressRule(interfaces: [
            InterfaceAddress(v4(192, 168, 1, 10, 4001), prefixLength: 24),
            InterfaceAddress(v4(192, 168, 2, 10, 4001), prefixLength: 24),
            InterfaceAddress(v4(127, 0, 0, 1, 4001), prefixLength: 8),
        ]))

    private let lan = v4(192, 168, 1, 20, 4001)
    private let otherLAN = v4(192, 168, 2, 20, 4001)
    private let world = v4(45, 20, 0, 1, 4001)
    private let v6 = SocketAddress(IPAddress(v6High: 0x2001_0db9_0000_0000, low: 7), port: 4001)

    private func path(_ remote: SocketAddress, _ milliseconds: Double) -> ProbeMachine.Path {
        ProbeMachine.Path(
            remote: remote, observed: v4(192, 168, 1, 10, 4001),
            roundTrip: .microseconds(Int64(milliseconds * 1_000)))
    }

    @Test func whatLiesBetweenComesFirst() {
        #expect(
            [v4(127, 0, 0, 1, 1), lan, v6, world].map { preference.rank($0.ip) } == [.machine, .subnet, .ipv6, .other])
        #expect(preference.best(of: [path(lan, 1)], beside: world, roundTrip: .milliseconds(30)) == path(lan, 1))
        #expect(preference.best(of: [path(v6, 32)], beside: world, roundTrip: .milliseconds(30)) == path(v6, 32))
        #expect(preference.best(of: [path(world, 1)], beside: lan, roundTrip: .milliseconds(30)) == nil)
        // IPv6 by way of a tunnel on another continent is none.
        #expect(preference.best(of: [path(v6, 90)], beside: world, roundTrip: .milliseconds(30)) == nil)
        #expect(
            preference.best(of: [path(v6, 5), path(lan, 9)], beside: world, roundTrip: .milliseconds(30))
                == path(lan, 9))
    }

    @Test func anotherInterfaceHasToBeClearlyFaster() {
        #expect(preference.isWorthProbing(otherLAN, beside: lan) && !preference.isWorthProbing(world, beside: lan))
        #expect(!preference.isWorthProbing(v4(45, 20, 0, 2, 4001), beside: world))
        #expect(!preference.isWorthProbing(v4(192, 168, 1, 30, 4001), beside: lan))
        #expect(
            preference.best(of: [path(otherLAN, 0.4)], beside: lan, roundTrip: .milliseconds(4)) == path(otherLAN, 0.4))
        #expect(preference.best(of: [path(otherLAN, 3.2)], beside: lan, roundTrip: .milliseconds(4)) == nil)
        #expect(preference.best(of: [path(otherLAN, 0.1)], beside: lan, roundTrip: .microseconds(900)) == nil)
    }

    /// Of two paths at most one is better than the other, however they measure.
    @Test(arguments: 1...5) func noTwoPathsAreBetterThanEachOther(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        let addresses = [lan, otherLAN, world, v6, v4(45, 20, 0, 2, 4001), v4(192, 168, 1, 30, 4001)]
        for _ in 0..<5_000 {
            func draw() -> (remote: SocketAddress, roundTrip: Duration) {
                (addresses[Int(random.next() % UInt64(addresses.count))], .microseconds(Int64(random.next() % 50_000)))
            }
            let (left, right) = (draw(), draw())
            #expect(!(preference.isBetter(left, than: right) && preference.isBetter(right, than: left)))
        }
    }

    /// Two interfaces that are as good as each other, measured again and again with noise.
    @Test(arguments: 1...5) func equalPathsNeverFlap(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var present = lan
        var moves = 0
        for _ in 0..<2_000 {
            // Ten percent either way.
            func measured() -> Double { 5 * (0.9 + 0.2 * Double(random.next() % 1_000) / 1_000) }
            let other = present == lan ? otherLAN : lan
            let roundTrip = Duration.microseconds(Int64(measured() * 1_000))
            guard let better = preference.best(of: [path(other, measured())], beside: present, roundTrip: roundTrip)
            else {
                continue
            }
            present = better.remote
            moves += 1
        }
        #expect(moves == 0)
    }

    /// What a peer tells brings on looks ever more seldom, whatever it tells.
    @Test func aPeerThatTellsMuchIsLookedAtSeldom() {
        var schedule = SeekSchedule()
        var looks: [Double] = []
        for second in 0..<7_200 {
            let now = NetworkInstant.milliseconds(UInt64(second) * 1_000)
            schedule.hope(now: now)
            guard let due = schedule.due, due <= now else { continue }
            schedule.begin(now: now)
            looks.append(Double(second))
        }
        #expect(looks.prefix(5) == [1, 11, 31, 71, 151] && looks.count < 20, "\(looks)")
        // This node's own network has changed.
        schedule.hope(now: .milliseconds(7_200_000))
        schedule.restart(now: .milliseconds(7_200_000))
        #expect(schedule.due == .milliseconds(7_201_000))
    }

    // MARK: The keeper

    private func direct() -> PathKeeper {
        var keeper = PathKeeper()
        _ = keeper.start(isRelayed: false, now: .milliseconds(0))
        return keeper
    }

    /// A keeper that has left `world` for `lan` at 1,040 ms.
    private func improved() -> PathKeeper {
        var keeper = direct()
        keeper.hope(now: .milliseconds(0))
        #expect(keeper.wake == .milliseconds(1_000))
        #expect(keeper.timerFired(isBusy: false, now: .milliseconds(999)).isEmpty)
        #expect(keeper.timerFired(isBusy: false, now: .milliseconds(1_000)) == [.seek] && keeper.wake == nil)
        #expect(keeper.sought(path(lan, 1), from: world, now: .milliseconds(1_030)) == [.migrate(path(lan, 1))])
        #expect(keeper.migrationEnded(true, now: .milliseconds(1_040)).isEmpty && keeper.isStraight)
        return keeper
    }

    @Test func aBetterPathIsTakenAndLeftForTheOneBefore() {
        var keeper = improved()
        var now = NetworkInstant.milliseconds(0)
        var left: [PathKeeper.Action] = []
        while let wake = keeper.wake, left.isEmpty {
            now = wake
            left = keeper.timerFired(isBusy: true, now: now).filter { $0 != .probe(lan) }
        }
        #expect(left == [.goStraight(world)] && now < .milliseconds(5_000))
        #expect(keeper.migrationEnded(true, now: now).isEmpty && keeper.isDirect && keeper.former == nil)
    }

    @Test func whereThePathBeforeIsDeadTooRelaysAreTriedInBetween() {
        var keeper = improved()
        #expect(keeper.stalled(canReturn: true, now: .milliseconds(9_000)) == [.goStraight(world)])
        var now = NetworkInstant.milliseconds(9_000)
        var attempts: [PathKeeper.Action] = []
        for _ in 0..<4 {
            _ = keeper.migrationEnded(false, now: now)
            guard let wake = keeper.wake else { break }
            now = wake
            attempts += keeper.timerFired(isBusy: true, now: now)
        }
        #expect(attempts == [.goBack(.known), .goStraight(world), .goBack(.other), .goStraight(world)])
        _ = keeper.migrationEnded(false, now: now)
        _ = keeper.wake.map { keeper.timerFired(isBusy: true, now: $0) }
        _ = keeper.migrationEnded(true, now: now)
        #expect(!keeper.isDirect && !keeper.isStraight && keeper.wake != nil, "a relay, from which it is punched again")
    }

    @Test func whatQUICDoesNotGetThroughByIsNotTaken() {
        var keeper = direct()
        keeper.hope(now: .milliseconds(0))
        _ = keeper.timerFired(isBusy: false, now: .milliseconds(1_000))
        _ = keeper.sought(path(lan, 1), from: world, now: .milliseconds(1_030))
        #expect(keeper.migrationEnded(false, now: .milliseconds(2_000)).isEmpty && keeper.isDirect)
        keeper.hope(now: .milliseconds(2_000))
        #expect(keeper.wake == .milliseconds(11_000))
    }

    @Test func aPathThatWasLeftMeanwhileIsNotImproved() {
        var keeper = direct()
        keeper.hope(now: .milliseconds(0))
        _ = keeper.timerFired(isBusy: false, now: .milliseconds(1_000))
        _ = keeper.silent(canReturn: true, now: .milliseconds(1_010))
        #expect(keeper.sought(path(lan, 1), from: world, now: .milliseconds(1_030)).isEmpty)
    }
}
