import DeP2PReactor
import DeP2PSimulation
import Testing

@testable import DeP2PReach

@Suite struct RelayChoiceTests {
    private typealias Candidate = RelayChoice.Candidate

    private func relay(
        _ index: Int, _ milliseconds: Int?, named: Bool = false, held: Bool = false, failing: Bool = false
    ) -> Candidate {
        Candidate(
            index: index, isNamed: named, isOfRealm: !named, roundTrip: milliseconds.map { .milliseconds($0) },
            isHeld: held, isFailing: failing)
    }

    private func chosen(_ candidates: [Candidate]) -> [Int] { RelayChoice(among: candidates, wanted: 2).chosen }

    @Test func theNearestAreChosenAndAMemberBeforeOthersThatAreAboutAsNear() {
        #expect(chosen([relay(0, 80), relay(1, 30), relay(2, 10)]) == [2, 1])
        #expect(chosen([relay(0, 30, named: true), relay(1, 45)]) == [1, 0])
        #expect(chosen([relay(0, 30, named: true), relay(1, 55)]) == [0, 1])
        #expect(chosen([relay(0, nil), relay(1, 100), relay(2, 140)]) == [1, 2])
        #expect(chosen([relay(0, nil), relay(1, nil), relay(2, nil)]) == [0, 1])
    }

    @Test func oneThatTheUserNamesIsAlwaysAmongThem() {
        let far = relay(3, 900, named: true)
        #expect(chosen([relay(0, 10), relay(1, 20), relay(2, 30), far]) == [0, 3])
        #expect(chosen([far]) == [3])
        #expect(chosen([relay(0, 10), relay(1, 20), relay(3, 5, named: true, failing: true)]) == [0, 1])
    }

    @Test func oneThatIsHeldStaysUntilAnotherIsClearlyNearer() {
        #expect(chosen([relay(0, 50, held: true), relay(1, 55, held: true), relay(2, 40)]) == [0, 1])
        #expect(chosen([relay(0, 50, held: true), relay(1, 55, held: true), relay(2, 20)]) == [2, 0])
        #expect(chosen([relay(0, 400, held: true), relay(1, 410, held: true), relay(2, 320)]) == [0, 1])
        #expect(chosen([relay(0, 400, held: true), relay(1, 410, held: true), relay(2, 290)]) == [2, 0])
    }

    /// Whatever is measured, two that are held and a third that is like them don't take turns.
    @Test func noTwoChoicesFollowEachOtherForEver() {
        var random = SplitMix64(seed: 7)
        for _ in 0..<500 {
            var held: Set<Int> = []
            let times = (0..<5).map { _ in Int(random.next() % 300) + 1 }
            var choices: [[Int]] = []
            for _ in 0..<6 {
                let candidates = times.indices.map {
                    relay($0, times[$0], named: $0 == 4, held: held.contains($0))
                }
                choices.append(chosen(candidates))
                held = Set(choices[choices.count - 1])
            }
            #expect(Set(choices[2]) == Set(choices[5]), "\(times)")
        }
    }

    @Test func thoseThatFailComeLast() {
        let choice = RelayChoice(among: [relay(0, 10, failing: true), relay(1, 90), relay(2, 50)], wanted: 2)
        #expect(choice.chosen == [2, 1] && choice.order == [2, 1, 0])
        #expect(RelayChoice(among: [], wanted: 2) == RelayChoice())
    }
}

@Suite struct RealmRelayMachineTests {
    private let start = NetworkInstant(nanoseconds: 1_000_000_000_000)

    private func at(_ seconds: Double) -> NetworkInstant { start.advanced(by: .seconds(seconds)) }

    @Test func itServesWhileItIsInARealmAndReached() {
        var machine = RealmRelayMachine()
        #expect(machine.changed(isInRealm: true, isReachable: false, now: start) == [] && machine.wake == nil)
        #expect(machine.changed(isInRealm: true, isReachable: true, now: start) == [])
        #expect(machine.timerFired(now: at(1)) == [] && !machine.isServing)
        #expect(machine.timerFired(now: at(2)) == [.serve] && machine.isServing)
        #expect(machine.changed(isInRealm: true, isReachable: false, now: at(10)) == [] && machine.isServing)
        #expect(machine.changed(isInRealm: true, isReachable: true, now: at(30)) == [] && machine.wake == nil)
        #expect(machine.changed(isInRealm: true, isReachable: false, now: at(40)) == [])
        #expect(machine.timerFired(now: at(100)) == [.stopServing] && !machine.isServing)
    }

    @Test func anAddressThatComesAndGoesIsNobodysRelayAndOutsideOfARealmItIsOff() {
        var machine = RealmRelayMachine()
        _ = machine.changed(isInRealm: true, isReachable: true, now: start)
        _ = machine.changed(isInRealm: true, isReachable: false, now: at(1))
        #expect(machine.wake == nil && machine.timerFired(now: at(5)) == [])
        _ = machine.changed(isInRealm: true, isReachable: true, now: at(6))
        #expect(machine.timerFired(now: at(8)) == [.serve])
        #expect(machine.changed(isInRealm: false, isReachable: true, now: at(9)) == [.stopServing])
        #expect(machine.wake == nil && machine.changed(isInRealm: false, isReachable: true, now: at(10)) == [])
    }
}
