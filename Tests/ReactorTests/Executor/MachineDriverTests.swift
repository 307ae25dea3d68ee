import DeP2PReactor
import Testing

@Suite @NetworkActor struct MachineDriverTests {
    /// Tells what is due of a list of instants.
    private struct Alarms: TimedMachine {
        enum Action: Equatable { case rang(NetworkInstant), cleared }

        var dues: [NetworkInstant] = []
        var wake: NetworkInstant? { dues.min() }

        mutating func timerFired(now: NetworkInstant) -> [Action] {
            let due = dues.filter { $0 <= now }.sorted()
            dues.removeAll { $0 <= now }
            return due.map(Action.rang)
        }

        mutating func clear() -> [Action] {
            dues = []
            return [.cleared]
        }
    }

    /// A clock that is set by hand and counts what is asked of it.
    private final class HandClock: NetworkClock {
        var now = NetworkInstant(nanoseconds: 0)
        var timers = TimerQueue<@NetworkActor () -> Void>()
        var scheduled = 0

        func schedule(at deadline: NetworkInstant, _ action: @escaping @NetworkActor () -> Void) -> TimerToken {
            scheduled += 1
            return timers.insert(action, at: deadline)
        }

        func cancel(_ token: TimerToken) { timers.remove(token) }

        func advance(to instant: NetworkInstant) {
            while let next = timers.earliest(), next <= instant {
                now = max(now, next)
                timers.popDue(at: now)?()
            }
            now = instant
        }
    }

    private func at(_ milliseconds: UInt64) -> NetworkInstant { NetworkInstant(nanoseconds: milliseconds * 1_000_000) }

    private func driver(_ clock: HandClock) -> (MachineDriver<Alarms>, Log) {
        let driver = MachineDriver(Alarms(), clock: clock)
        let log = Log()
        driver.carryOut = { log.batches.append($0) }
        return (driver, log)
    }

    private final class Log {
        var batches: [[Alarms.Action]] = []
        var actions: [Alarms.Action] { batches.flatMap(\.self) }
    }

    @Test func wakesTheMachineWhenItWantsToBe() {
        let clock = HandClock()
        let (driver, log) = driver(clock)
        driver.note { machine, _ in machine.dues = [at(20), at(10), at(30)] }
        clock.advance(to: at(9))
        #expect(log.actions.isEmpty)
        clock.advance(to: at(25))
        #expect(log.actions == [.rang(at(10)), .rang(at(20))])
        clock.advance(to: at(100))
        #expect(log.actions.last == .rang(at(30)) && clock.timers.count == 0)
    }

    @Test func oneTimerIsAllThatThereIs() {
        let clock = HandClock()
        let (driver, _) = driver(clock)
        for _ in 0..<100 { driver.note { machine, _ in machine.dues = [at(50)] } }
        #expect(clock.scheduled == 1 && clock.timers.count == 1)
        driver.note { machine, _ in machine.dues = [at(40)] }
        #expect(clock.scheduled == 2 && clock.timers.count == 1)
        driver.handle { machine, _ in machine.clear() }
        #expect(clock.timers.count == 0)
    }

    @Test func whatIsPastIsDueAtOnce() {
        let clock = HandClock()
        clock.advance(to: at(500))
        let (driver, log) = driver(clock)
        driver.note { machine, _ in machine.dues = [at(20)] }
        clock.advance(to: at(500))
        #expect(log.actions == [.rang(at(20))])
    }

    /// An event may come while an earlier one's actions are carried out.
    @Test func eventsWithinEvents() {
        let clock = HandClock()
        let driver = MachineDriver(Alarms(), clock: clock)
        var seen: [Alarms.Action] = []
        driver.carryOut = { actions in
            for action in actions {
                seen.append(action)
                if case .rang(let instant) = action, instant == at(10) {
                    driver.handle { machine, now in
                        machine.dues.append(now.advanced(by: .milliseconds(5)))
                        return [.cleared]
                    }
                }
            }
        }
        driver.note { machine, _ in machine.dues = [at(10), at(30)] }
        clock.advance(to: at(20))
        #expect(seen == [.rang(at(10)), .cleared, .rang(at(15))])
        clock.advance(to: at(30))
        #expect(seen.last == .rang(at(30)))
        driver.carryOut = nil
    }

    @Test func afterItsStopNothingIsCarriedOut() {
        let clock = HandClock()
        let (driver, log) = driver(clock)
        driver.note { machine, _ in machine.dues = [at(10)] }
        driver.stop()
        driver.handle { machine, _ in machine.clear() }
        driver.note { machine, _ in machine.dues = [at(20)] }
        clock.advance(to: at(100))
        #expect(log.batches.isEmpty && clock.timers.count == 0 && driver.machine.dues == [at(20)])
    }
}
