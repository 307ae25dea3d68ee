import DeP2PReactor
import Testing

@testable import DeP2PDiscovery

@Suite struct ServingTests {
    private let start = NetworkInstant(nanoseconds: 1_000_000_000)

    @Test func aNodeServesOnceItHasBeenReachableForAWhile() {
        var machine = ServingMachine(isFixed: false)
        #expect(machine.begin() == [] && machine.reachable(true, now: start) == [])
        let due = start.advanced(by: ServingMachine.probation)
        #expect(machine.wake == due)
        // Said again it counts from the first time.
        _ = machine.reachable(true, now: start.advanced(by: .seconds(60)))
        #expect(machine.wake == due)
        #expect(machine.timerFired(now: due) == [.serve] && machine.isServing && machine.wake == nil)
        #expect(machine.reachable(false, now: due) == [.stopServing] && !machine.isServing)
        _ = machine.reachable(true, now: due)
        #expect(machine.reachable(false, now: due) == [] && machine.wake == nil)
    }

    @Test func oneThatIsThereForItServesInAnyCase() {
        var machine = ServingMachine(isFixed: true)
        #expect(machine.begin() == [.serve] && machine.begin() == [])
        #expect(machine.reachable(false, now: start) == [] && machine.isServing)
    }

    @Test func whoHearsOfNobodyTriesEverLessOften() {
        var machine = JoinMachine()
        #expect(machine.begin(now: start) == [.join] && machine.begin(now: start) == [])
        var now = start
        var waits: [Duration] = []
        for _ in 0..<8 {
            _ = machine.ended(hasFoundAnybody: false, now: now)
            guard let wake = machine.wake else { return #expect(Bool(false)) }
            waits.append(wake.duration(since: now))
            now = wake
            #expect(machine.timerFired(now: now) == [.join])
        }
        #expect(waits.first == JoinMachine.firstRetry && waits.last == JoinMachine.longestRetry)
        #expect(zip(waits, waits.dropFirst()).allSatisfy { $0 <= $1 })
        _ = machine.ended(hasFoundAnybody: true, now: now)
        #expect(machine.wake == nil)
    }

    @Test func changesAreOneAndThoseDuringALookupBringAnother() {
        var machine = JoinMachine()
        _ = machine.begin(now: start)
        #expect(machine.changed(now: start) == [] && machine.wake == nil)
        _ = machine.ended(hasFoundAnybody: true, now: start)
        #expect(machine.wake == start.advanced(by: JoinMachine.settling))
        _ = machine.changed(now: start.advanced(by: .milliseconds(100)))
        #expect(machine.wake == start.advanced(by: JoinMachine.settling))
    }
}
