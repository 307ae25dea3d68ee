import DeP2PIdentity
import DeP2PReactor
import Testing

@testable import DeP2PDiscovery

@Suite struct MainlineUpkeepTests {
    private let start = NetworkInstant(nanoseconds: 1_000)

    private func item(_ seq: Int64 = 1, by key: IdentityKey = .generate()) throws -> MutableItem {
        try MutableItem(by: key, salt: [], seq: seq, value: Array("2:hi".utf8))
    }

    @Test func whatIsPlacedIsPutAgainEachHourForADay() throws {
        var machine = MainlineUpkeep()
        let item = try item()
        machine.keep(item, now: start)
        #expect(machine.wake == nil)
        machine.put(item, isPlaced: true, now: start)
        var (now, puts) = (start, 0)
        while let wake = machine.wake {
            #expect(wake.duration(since: now) == MainlineUpkeep.interval)
            now = wake
            for action in machine.timerFired(now: now) {
                #expect(action == .put(item))
                puts += 1
                machine.put(item, isPlaced: true, now: now)
            }
        }
        #expect(puts == 25 && machine.count == 0)
    }

    @Test func whatNobodyTakesIsPutEverMoreRarely() throws {
        var machine = MainlineUpkeep()
        let item = try item()
        machine.keep(item, now: start)
        machine.put(item, isPlaced: false, now: start)
        var (now, waits) = (start, [Duration]())
        for _ in 0..<9 {
            guard let wake = machine.wake else { break }
            waits.append(wake.duration(since: now))
            now = wake
            #expect(machine.timerFired(now: now) == [.put(item)])
            machine.put(item, isPlaced: false, now: now)
        }
        #expect(waits.map(\.seconds) == [10, 20, 40, 80, 160, 320, 640, 900, 900])
        machine.networkChanged(now: now)
        #expect(machine.wake == now)
    }

    /// One that was replaced or withdrawn while it was put is not put again.
    @Test func theLastThatWasGivenCounts() throws {
        var machine = MainlineUpkeep()
        let key = IdentityKey.generate()
        let (old, new) = (try item(1, by: key), try item(2, by: key))
        machine.keep(old, now: start)
        machine.keep(new, now: start)
        machine.put(old, isPlaced: true, now: start)
        #expect(machine.wake == nil && machine.count == 1)
        machine.put(new, isPlaced: true, now: start)
        #expect(machine.wake != nil)
        machine.withdraw(new.publicKey)
        #expect(machine.wake == nil && machine.count == 0)
    }

    @Test func itemsAreBounded() throws {
        var machine = MainlineUpkeep()
        let items = try (0...MainlineUpkeep.limit).map { _ in try item() }
        for item in items { machine.keep(item, now: start) }
        #expect(machine.count == MainlineUpkeep.limit)
        machine.put(items[0], isPlaced: true, now: start)
        #expect(machine.wake == nil)
    }

    @Test func whereNobodyAnswersNobodyIsAsked() {
        var machine = MainlineUpkeep()
        #expect(machine.mayAsk(now: start))
        machine.lookedUp(isAnswered: false, now: start)
        // Another that was under way says the same.
        machine.lookedUp(isAnswered: false, now: start)
        let end = start.advanced(by: MainlineUpkeep.firstRetry)
        #expect(!machine.mayAsk(now: start) && machine.mayAsk(now: end))
        machine.lookedUp(isAnswered: false, now: end)
        #expect(!machine.mayAsk(now: end.advanced(by: MainlineUpkeep.firstRetry)))
        machine.lookedUp(isAnswered: true, now: end)
        #expect(machine.mayAsk(now: end))
    }
}
