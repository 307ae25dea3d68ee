import DeP2PReactor
import Testing

@testable import DeP2PReach

@Suite struct ReservationStateMachineTests {
    private let start = NetworkInstant(nanoseconds: 1_000_000_000_000)

    private func at(_ seconds: Double) -> NetworkInstant { start.advanced(by: .seconds(seconds)) }

    /// Of `count` relays the first two are held from the start on, for 100 s.
    private func machine(relays count: Int) -> ReservationMachine {
        var machine = ReservationMachine()
        for _ in 0..<count { _ = machine.add(now: start) }
        for index in 0..<min(count, 2) { _ = machine.granted(index, time: .seconds(100), now: start) }
        return machine
    }

    @Test func theFirstTwoAreAsked() {
        var machine = ReservationMachine()
        #expect(machine.add(now: start) == [.reserve(0)])
        #expect(machine.add(now: start) == [.reserve(1)])
        #expect(machine.add(now: start) == [])
        #expect(machine.granted(1, time: .seconds(100), now: start) == [.changed])
        #expect(machine.standing == [1])
    }

    @Test func itRenewsEarlyAndKeepsTheOldUntilTheNewStands() {
        var machine = machine(relays: 1)
        #expect(machine.wake == at(60))
        #expect(machine.timerFired(now: at(59)) == [])
        #expect(machine.timerFired(now: at(60)) == [.reserve(0)])
        #expect(machine.standing == [0])
        #expect(machine.failed(0, now: at(61)) == [])
        #expect(machine.standing == [0] && machine.wake == at(62))
        #expect(machine.timerFired(now: at(62)) == [.reserve(0)])
        #expect(machine.granted(0, time: .seconds(100), now: at(63)) == [])
        #expect(machine.wake == at(123))
    }

    @Test func aReservationThatIsNotRenewedEnds() {
        var machine = machine(relays: 1)
        _ = machine.timerFired(now: at(60))
        #expect(machine.wake == at(100))
        #expect(machine.timerFired(now: at(100)) == [.changed])
        #expect(machine.standing == [])
        #expect(machine.granted(0, time: .seconds(100), now: at(101)) == [.changed])
    }

    @Test func aLostRelayIsReplacedAtOnceAndAskedAgainSoon() {
        var machine = machine(relays: 3)
        #expect(machine.lost(0, now: at(10)) == [.changed, .reserve(2)])
        #expect(machine.failed(2, now: at(11)) == [.reserve(0)])
        #expect(machine.granted(0, time: .seconds(100), now: at(12)) == [.changed])
        #expect(machine.standing == [0, 1])
    }

    @Test func aSilentRelayIsKeptUntilItsEnd() {
        var machine = machine(relays: 3)
        #expect(machine.silent(1, now: at(5)) == [.reserve(2)])
        #expect(machine.silent(1, now: at(6)) == [])
        #expect(machine.standing == [0, 1])
        _ = machine.granted(2, time: .seconds(100), now: at(6))
        #expect(machine.standing == [0, 1, 2])
        #expect(machine.lost(1, now: at(9)) == [.changed])
    }

    @Test func failuresBackOffToTheLongest() {
        var machine = ReservationMachine()
        _ = machine.add(now: start)
        var now = start
        var waits: [Double] = []
        for _ in 0..<9 {
            _ = machine.failed(0, now: now)
            guard let wake = machine.wake else { break }
            waits.append(wake.duration(since: now).seconds)
            now = wake
            #expect(machine.timerFired(now: now) == [.reserve(0)])
        }
        #expect(waits == [1, 2, 4, 8, 16, 32, 60, 60, 60])
        _ = machine.failed(0, now: now)
        #expect(machine.retry(now: now) == [.reserve(0)])
    }

    @Test func aGreedyRelayIsNotAskedWithoutEnd() {
        var machine = ReservationMachine()
        _ = machine.add(now: start)
        _ = machine.granted(0, time: .nanoseconds(1), now: start)
        #expect(machine.wake.map { $0 <= at(1) } == true)
        _ = machine.timerFired(now: at(0.1))
        #expect(machine.standing == [])
    }

    @Test func aStoppedMachineDoesNothing() {
        var machine = machine(relays: 3)
        machine.stop()
        #expect(machine.wake == nil && machine.lost(0, now: at(1)) == [.changed])
    }
}
