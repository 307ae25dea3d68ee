import DeP2PIdentity
import DeP2PReactor
import Testing

@testable import DeP2PRealm

/// Where members announce themselves among few slots, and when they look (issue 11.5).
@Suite struct AnnounceBoardTests {
    private let own = IdentityKey.generate().nodeID
    private let time: UInt64 = 1_800_000_000_000

    private func other(ago: UInt64) -> AnnounceBoard.Entry {
        AnnounceBoard.Entry(nodeID: IdentityKey.generate().nodeID, seq: Int64(time - ago))
    }

    private func decide(
        _ board: AnnounceBoard, changedAt: UInt64 = 0, isLonely: Bool = false, random: UInt64 = 0
    ) -> AnnounceBoard.Decision {
        board.decision(for: own, changedAt: changedAt, at: time, isLonely: isLonely, random: random)
    }

    /// As many as there are slots, the slot's number being how many minutes ago it was written.
    private func full(_ minutes: UInt64 = 0) -> AnnounceBoard {
        var board = AnnounceBoard()
        for slot in 0..<AnnounceBoard.slots {
            board.found(other(ago: (minutes + UInt64(slot)) * 60_000), in: slot)
        }
        return board
    }

    @Test func aFreeSlotIsTaken() {
        let empty = AnnounceBoard()
        let taken = (0..<100).map { decide(empty, random: $0) }
        #expect(Set(taken.map { "\($0)" }).count == Int(AnnounceBoard.slots))
        var board = full()
        #expect(decide(board) == .leaveOut)
        board = AnnounceBoard()
        for slot in 0..<AnnounceBoard.slots where slot != 5 { board.found(other(ago: 0), in: slot) }
        for random in UInt64(0)..<20 { #expect(decide(board, random: random) == .write(5, above: -1)) }
    }

    @Test func itsOwnIsRenewedInTimeAndWhenItHasChanged() {
        for (ago, changed, isFresh) in [
            (60_000, 120_000, true), (60_000, 30_000, false), (AnnounceBoard.renewal + 1, 10_000_000, false),
        ] as [(UInt64, UInt64, Bool)] {
            var board = full()
            board.found(AnnounceBoard.Entry(nodeID: own, seq: Int64(time - ago)), in: 7)
            // What stood there is older, or newer.
            let stands = board.entries[7]?.nodeID == own
            guard stands else {
                #expect(ago > 420_000)
                continue
            }
            #expect(
                decide(board, changedAt: time - changed)
                    == (isFresh ? .stay : .write(7, above: Int64(time - ago))))
        }
        var board = AnnounceBoard()
        board.found(AnnounceBoard.Entry(nodeID: own, seq: Int64(time - AnnounceBoard.renewal - 1)), in: 3)
        #expect(decide(board) == .write(3, above: Int64(time - AnnounceBoard.renewal - 1)))
    }

    /// Those that are gone give way, and all when none of them can be met.
    @Test func theOldestGivesWay() throws {
        let stale = full(AnnounceBoard.staleness / 60_000)
        let oldest = try #require(stale.entries[7])
        #expect(decide(stale) == .write(7, above: oldest.seq))
        #expect(decide(full()) == .leaveOut)
        #expect(decide(full(), isLonely: true) == .write(7, above: Int64(time - 420_000)))
    }

    /// A member that takes all slots for ever, with the largest number there is, stops nothing here but announcing.
    @Test func whatIsFromTheFutureBlocksItsSlotAlone() {
        var board = AnnounceBoard()
        for slot in 0..<AnnounceBoard.slots {
            board.found(AnnounceBoard.Entry(nodeID: own, seq: slot == 2 ? Int64(time) : .max), in: slot)
        }
        #expect(decide(board) == .stay)
        #expect(decide(board, changedAt: time + 1) == .write(2, above: Int64(time)))
        board.found(AnnounceBoard.Entry(nodeID: own, seq: .max), in: 2)
        #expect(decide(board, isLonely: true) == .leaveOut)
        let late = board.decision(for: own, changedAt: .max, at: .max, isLonely: true, random: .max)
        #expect(late == .stay)
    }

    @Test func theNewestCountsHoweverManyOlderOnesAreShown() {
        var board = AnnounceBoard()
        let (new, old) = (other(ago: 0), other(ago: 1_000))
        for entry in [old, new, old] { board.found(entry, in: 1) }
        #expect(board.entries[1] == new && board.entries.count == 1)
        #expect(!board.isNews(old.seq, in: 1) && board.isNews(old.seq, in: 0))
    }

    // MARK: When

    private let start = NetworkInstant(nanoseconds: 1_000_000_000)

    private func look(_ machine: inout AnnouncingMachine, _ outcome: AnnouncingMachine.Outcome, isLonely: Bool)
        -> Double
    {
        guard let now = machine.wake, machine.timerFired(now: now) == [.look] else { return -1 }
        machine.ended(outcome, isLonely: isLonely, now: now)
        return machine.wake.map { $0.duration(since: now).seconds } ?? -1
    }

    @Test func whoAnnouncesItselfLooksAgainSoonAndThenRarely() {
        var machine = AnnouncingMachine()
        machine.set(announces: true, reads: false, now: start)
        #expect(machine.wake == start)
        #expect(look(&machine, .failed, isLonely: true) == 2)
        #expect(look(&machine, .failed, isLonely: true) == 4)
        #expect(look(&machine, .written, isLonely: true) == AnnouncingMachine.checkDelay.seconds)
        // Whoever reads finds it: it does not look for anybody itself.
        #expect(look(&machine, .looked, isLonely: true) == AnnouncingMachine.renewal.seconds)
    }

    @Test func whoIsDisplacedEachTimeWritesEverLessOften() {
        var machine = AnnouncingMachine()
        machine.set(announces: true, reads: false, now: start)
        #expect((0..<8).map { _ in look(&machine, .written, isLonely: true) } == [5, 10, 20, 40, 80, 160, 300, 300])
        _ = look(&machine, .looked, isLonely: true)
        #expect(look(&machine, .written, isLonely: true) == 5)
    }

    @Test func whoMeetsNobodyLooksEverLessOften() {
        var machine = AnnouncingMachine()
        machine.set(announces: false, reads: true, now: start)
        let waits = (0..<10).map { _ in look(&machine, .looked, isLonely: true) }
        #expect(waits == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300])
        #expect(look(&machine, .looked, isLonely: false) == 300)
        machine.set(announces: false, reads: false, now: start)
        #expect(machine.wake == nil && machine.timerFired(now: .distantFuture) == [])
    }

    @Test func whatChangesMeanwhileIsLookedAtOnceMore() {
        var machine = AnnouncingMachine()
        machine.changed(now: start)
        #expect(machine.wake == nil)
        machine.set(announces: true, reads: false, now: start)
        #expect(machine.timerFired(now: start) == [.look])
        machine.changed(now: start)
        machine.set(announces: true, reads: true, now: start)
        #expect(machine.wake == nil && machine.timerFired(now: .distantFuture) == [])
        machine.ended(.looked, isLonely: false, now: start)
        #expect(machine.wake == start.advanced(by: AnnouncingMachine.settling))
    }
}
