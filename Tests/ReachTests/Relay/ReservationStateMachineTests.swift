import DeP2PReactor
import DeP2PSimulation
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
        #expect(machine.lost(0, now: at(10)) == [.changed, .reserve(0), .reserve(2)])
        #expect(machine.failed(2, now: at(11)) == [])
        #expect(machine.granted(0, time: .seconds(100), now: at(12)) == [.changed])
        #expect(machine.standing == [0, 1])
    }

    @Test("a connection with a relay that is missed, whoever made it, has the relay asked at once")
    func aReachedRelay() {
        var machine = machine(relays: 1)
        #expect(machine.reached(0, now: at(9)) == [])
        #expect(machine.lost(0, now: at(10)) == [.changed, .reserve(0)])
        // It is being asked already.
        #expect(machine.reached(0, now: at(10)) == [])
        #expect(machine.failed(0, now: at(10.1)) == [])
        #expect(machine.reached(0, now: at(10.15)) == [.reserve(0)])
        #expect(machine.granted(0, time: .seconds(100), now: at(10.2)) == [.changed])
        // One that grants and hangs up again is not asked sooner for it.
        #expect(machine.lost(0, now: at(10.3)) == [.changed])
        #expect(machine.reached(0, now: at(10.4)) == [] && machine.wake == at(11.3))
    }

    @Test func aLostRelayIsAskedOftenForAWhileAndThenSeldom() {
        var machine = machine(relays: 1)
        var now = at(10)
        var asked = machine.lost(0, now: now).count { $0 == .reserve(0) }
        while now < at(40) {
            _ = machine.failed(0, now: now)
            guard let wake = machine.wake else { break }
            now = wake
            asked += machine.timerFired(now: now).count { $0 == .reserve(0) }
            if now < at(20) { #expect(asked >= Int(now.duration(since: at(10)).seconds * 4)) }
        }
        #expect(asked > 40 && asked < 48, "\(asked)")
    }

    @Test func anotherThatTookOverDoesNotKeepALostOneOut() {
        var machine = machine(relays: 3)
        _ = machine.lost(0, now: at(10))
        _ = machine.granted(2, time: .seconds(100), now: at(10.1))
        #expect(machine.failed(0, now: at(10.2)) == [] && machine.wake == at(10.45))
        #expect(machine.timerFired(now: at(10.45)) == [.reserve(0)])
        #expect(machine.granted(0, time: .seconds(100), now: at(10.5)) == [.changed])
        #expect(machine.standing == [0, 1, 2])
        // One more than is wanted, it lapses when its time is over.
        var asked: [ReservationMachine.Action] = []
        while let wake = machine.wake, wake < at(300) {
            for action in machine.timerFired(now: wake) {
                asked.append(action)
                if case .reserve(let index) = action { _ = machine.granted(index, time: .seconds(100), now: wake) }
            }
        }
        #expect(machine.standing == [0, 1] && !asked.contains(.reserve(2)))
    }

    /// A timer that is late, as after the machine slept, finds a relay due that may not be back any more.
    @Test func aWakeThatIsLateIsNotDueForEver() {
        var machine = machine(relays: 3)
        _ = machine.lost(0, now: at(10))
        _ = machine.granted(2, time: .seconds(100), now: at(10.1))
        #expect(machine.failed(0, now: at(19.7)) == [] && machine.wake == at(19.95))
        #expect(machine.timerFired(now: at(20.1)) == [])
        #expect(machine.wake.map { $0 > at(20.1) } ?? true, "it is due again at once")
    }

    @Test func aRelayThatGrantsAndHangsUpIsNotAskedWithoutAPause() {
        var machine = machine(relays: 1)
        #expect(machine.lost(0, now: at(10)) == [.changed, .reserve(0)])
        #expect(machine.granted(0, time: .seconds(100), now: at(10.1)) == [.changed])
        #expect(machine.lost(0, now: at(10.2)) == [.changed] && machine.wake == at(11.2))
        #expect(machine.timerFired(now: at(11.2)) == [.reserve(0)])
    }

    @Test func aSilentRelayIsKeptUntilItsEnd() {
        var machine = machine(relays: 3)
        #expect(machine.silent(1, now: at(5)) == [.reserve(1), .reserve(2)])
        #expect(machine.silent(1, now: at(6)) == [])
        #expect(machine.standing == [0, 1])
        _ = machine.granted(2, time: .seconds(100), now: at(6))
        #expect(machine.standing == [0, 1, 2])
        #expect(machine.lost(1, now: at(9)) == [.changed])
        #expect(machine.granted(1, time: .seconds(100), now: at(9.1)) == [.changed])
    }

    @Test func aSilentRelayIsAskedByAnotherConnectionUntilItIsHeard() {
        var machine = machine(relays: 1)
        #expect(machine.silent(0, now: at(5)) == [.reserve(0)])
        #expect(machine.failed(0, now: at(6)) == [] && machine.wake == at(6.25))
        #expect(machine.timerFired(now: at(6.25)) == [.reserve(0)])
        #expect(machine.failed(0, now: at(7)) == [])
        machine.heard(0)
        #expect(machine.timerFired(now: at(7.25)) == [.reserve(0)])
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

    // MARK: Preference

    private func choice(_ chosen: [Int], _ order: [Int]) -> RelayChoice {
        var choice = RelayChoice()
        (choice.chosen, choice.order) = (chosen, order)
        return choice
    }

    @Test func aPreferredRelayTakesThePlaceOfAnotherOnceItStands() {
        var machine = machine(relays: 3)
        #expect(machine.prefer(choice([2, 0], [2, 0, 1]), now: at(10)) == [.reserve(2)])
        #expect(machine.standing == [0, 1])
        #expect(machine.granted(2, time: .seconds(100), now: at(11)) == [.changed, .changed])
        #expect(machine.standing == [2, 0])
        // Who has heard of it may still use it, until its time.
        #expect(machine.isHeld(1) && !machine.counts(1))
        #expect(machine.timerFired(now: at(60)) == [.reserve(0)])
        _ = machine.granted(0, time: .seconds(100), now: at(60))
        _ = machine.timerFired(now: at(71))
        _ = machine.granted(2, time: .seconds(100), now: at(71))
        #expect(machine.timerFired(now: at(100)) == [] && !machine.isHeld(1))
    }

    @Test func oneThatWasReleasedIsAskedAgainWhenAnotherIsLost() {
        var machine = machine(relays: 3)
        _ = machine.prefer(choice([2, 0], [2, 0, 1]), now: at(10))
        _ = machine.granted(2, time: .seconds(100), now: at(11))
        // So is the lost one, at once: it may have been restarted.
        #expect(machine.lost(2, now: at(20)) == [.changed, .reserve(2), .reserve(1)])
        #expect(machine.failed(1, now: at(20.5)) == [])
        // It is not asked without a pause.
        #expect(machine.wake == at(21.5))
        #expect(machine.granted(2, time: .seconds(100), now: at(21)) == [.changed])
        #expect(machine.standing == [2, 0])
    }

    @Test func aPreferredRelayThatFailsIsAskedAgainInTimeAndNobodyIsReleasedForIt() {
        var machine = machine(relays: 3)
        _ = machine.prefer(choice([2, 0], [2, 0, 1]), now: at(10))
        #expect(machine.failed(2, now: at(10)) == [] && machine.isFailing(2, now: at(10)))
        #expect(!machine.isFailing(2, now: at(11)), "it is worth another try")
        #expect(machine.standing == [0, 1] && machine.wake == at(11))
        #expect(machine.timerFired(now: at(11)) == [.reserve(2)])
    }

    @Test func aRelayThatIsNoneAnyMoreIsNotAskedAndGivesItsPlaceUp() {
        var machine = machine(relays: 3)
        #expect(machine.withdraw(0, now: at(5)) == [.changed, .reserve(2)])
        #expect(machine.isHeld(0) && !machine.isVacant(0) && machine.standing == [1])
        #expect(machine.granted(2, time: .seconds(300), now: at(6)) == [.changed])
        #expect(machine.timerFired(now: at(60)) == [.reserve(1)])
        _ = machine.granted(1, time: .seconds(300), now: at(60))
        #expect(machine.timerFired(now: at(100)) == [] && machine.isVacant(0))
        #expect(machine.retry(now: at(101)) == [] && machine.isVacant(0))
        #expect(machine.lost(1, now: at(102)) == [.changed, .reserve(1)] && machine.isVacant(0))
        // Another relay in its place.
        #expect(machine.restore(0, now: at(102)) == [.reserve(0)])
    }

    @Test func anAnswerOfOneThatWasWithdrawnMeanwhileIsNotTold() {
        var machine = ReservationMachine()
        _ = machine.add(now: start)
        #expect(machine.withdraw(0, now: at(1)) == [])
        #expect(machine.granted(0, time: .seconds(100), now: at(2)) == [])
        #expect(machine.standing == [] && machine.isHeld(0))
        #expect(machine.timerFired(now: at(102)) == [] && machine.isVacant(0))
    }

    @Test func whateverHappensItNeitherLoopsNorAsksForEver() {
        var random = SplitMix64(seed: 11)
        for _ in 0..<300 {
            var machine = ReservationMachine()
            var (now, asked) = (start, Set<Int>())
            func note(_ actions: [ReservationMachine.Action]) {
                for case .reserve(let index) in actions {
                    #expect(asked.insert(index).inserted, "asked while it is asked")
                }
            }
            for _ in 0..<5 { note(machine.add(now: now)) }
            for _ in 0..<200 {
                let index = Int(random.next() % 5)
                switch random.next() % 9 {
                case 0: note(machine.lost(index, now: now))
                case 1: note(machine.silent(index, now: now))
                case 2: machine.heard(index)
                case 3: note(machine.withdraw(index, now: now))
                case 4: note(machine.restore(index, now: now))
                case 5:
                    let order = (0..<5).shuffled(using: &random)
                    note(machine.prefer(choice(Array(order.prefix(2)), order), now: now))
                case 6:
                    for index in asked {
                        asked.remove(index)
                        let isGranted = random.next() % 2 == 0
                        note(
                            isGranted
                                ? machine.granted(index, time: .seconds(30), now: now)
                                : machine.failed(index, now: now))
                        break
                    }
                default:
                    guard let wake = machine.wake else { break }
                    now = max(now, wake)
                    note(machine.timerFired(now: now))
                    #expect(machine.wake.map { $0 > now } ?? true, "it is due again at once")
                }
            }
        }
    }
}
