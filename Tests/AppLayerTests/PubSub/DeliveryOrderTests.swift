import DeP2PIdentity
import DeP2PReactor
import Testing

@testable import DeP2PApp

/// Issue 12.4: each author's order, each message once, gaps told.
@Suite struct DeliveryOrderTests {
    private let start = NetworkInstant(nanoseconds: 1_000_000_000)
    private let author = IdentityKey.generate()
    private let base = UInt64(1_700_000_000_000) << MessageNumbers.bits

    private func message(_ number: UInt64, by author: IdentityKey? = nil) -> PubSubMessage {
        PubSubMessage([1], to: .other, sequence: number, by: author ?? self.author)
    }

    private func counts(_ actions: [DeliveryOrder.Action]) -> [Int] { numbers(actions) }

    private func numbers(_ actions: [DeliveryOrder.Action]) -> [Int] {
        actions.map { action in
            switch action {
            case .message(let message): Int(message.sequence & (1 << MessageNumbers.bits - 1))
            case .gap(_, let count): -count
            }
        }
    }

    @Test func whatComesInOrderIsDeliveredAtOnce() {
        var order = DeliveryOrder()
        for number in 0..<5 { #expect(numbers(order.take(message(base + UInt64(number)), now: start)) == [number]) }
        #expect(order.wake == nil)
    }

    @Test func whatComesTooEarlyWaitsForWhatIsBeforeIt() {
        var order = DeliveryOrder()
        #expect(numbers(order.take(message(base), now: start)) == [0])
        #expect(order.take(message(base + 2), now: start).isEmpty)
        #expect(order.take(message(base + 3), now: start).isEmpty)
        #expect(numbers(order.take(message(base + 1), now: start)) == [1, 2, 3])
        #expect(order.wake == nil)
        #expect(order.heldCount == 0)
        #expect(order.heldBytes == 0)
    }

    @Test func whatNeverComesIsTold() {
        var order = DeliveryOrder()
        _ = order.take(message(base), now: start)
        _ = order.take(message(base + 4), now: start)
        let due = start.advanced(by: DeliveryOrder.patience)
        #expect(order.wake == due)
        #expect(numbers(order.timerFired(now: due)) == [-3, 4])
        #expect(numbers(order.take(message(base + 5), now: due)) == [5])
        // Too late: it was told as missing.
        #expect(order.take(message(base + 2), now: due).isEmpty)
    }

    @Test func theFirstOnesMayComeInAnyOrder() {
        var order = DeliveryOrder()
        #expect(order.take(message(base + 2), now: start).isEmpty)
        #expect(numbers(order.take(message(base), now: start)) == [0])
        #expect(numbers(order.take(message(base + 1), now: start)) == [1, 2])
    }

    @Test func whoBeginsToListenLaterIsToldOfNoGap() {
        var order = DeliveryOrder()
        #expect(order.take(message(base + 5), now: start).isEmpty)
        let due = start.advanced(by: DeliveryOrder.firstPatience)
        #expect(numbers(order.timerFired(now: due)) == [5])
    }

    /// Seen with eight processes: the author's connection came while its messages were under way, and its 23rd overtook what
    /// others passed on.
    @Test func whatIsOnItsWayThroughOthersIsNotOvertaken() {
        var order = DeliveryOrder()
        for number in 22..<30 { #expect(order.take(message(base + UInt64(number)), now: start).isEmpty) }
        for number in (1..<22).reversed() { #expect(order.take(message(base + UInt64(number)), now: start).isEmpty) }
        #expect(numbers(order.take(message(base), now: start)) == Array(0..<30))
    }

    /// Seen with eight processes below load: the author's connection came with its 432nd message, others passed on those
    /// before it, and the time that began with the 432nd ended when the 106th was delivered: 326 came too late.
    @Test func eachMissingMessageHasItsOwnTime() {
        var order = DeliveryOrder()
        #expect(order.take(message(base + 40), now: start).isEmpty)
        var now = start
        for number in 0..<40 {
            now = now.advanced(by: .milliseconds(50))
            if let wake = order.wake, wake <= now { #expect(numbers(order.timerFired(now: now)).isEmpty) }
            #expect(numbers(order.take(message(base + UInt64(number)), now: now)).first == number)
        }
        #expect(order.wake == nil)
        // The same with two that are missing, far from each other.
        for number in [42, 43, 45, 46] { _ = order.take(message(base + UInt64(number)), now: now) }
        now = now.advanced(by: DeliveryOrder.patience / 2)
        #expect(numbers(order.take(message(base + 41), now: now)) == [41, 42, 43])
        now = now.advanced(by: DeliveryOrder.patience / 2)
        #expect(order.timerFired(now: now).isEmpty)
        #expect(numbers(order.take(message(base + 44), now: now)) == [44, 45, 46])
    }

    /// Where those before the first come one after the other, last ones first, each shows that others are on their way.
    @Test func whatComesBackwardsIsWaitedFor() {
        var order = DeliveryOrder()
        var now = start
        for number in (1..<20).reversed() {
            #expect(order.take(message(base + UInt64(number)), now: now).isEmpty)
            now = now.advanced(by: DeliveryOrder.firstPatience / 2)
            #expect(order.timerFired(now: now).isEmpty)
        }
        #expect(numbers(order.take(message(base), now: now)) == Array(0..<20))
    }

    @Test func aLongRunStaysOneRun() {
        var order = DeliveryOrder()
        let first = base + 3_000_000
        #expect(order.take(message(first), now: start).isEmpty)
        let due = start.advanced(by: DeliveryOrder.firstPatience)
        #expect(numbers(order.timerFired(now: due)) == [3_000_000])
        #expect(numbers(order.take(message(first + 1), now: due)) == [3_000_001])
    }

    @Test func aLaterRunHasAnOrderOfItsOwn() {
        var order = DeliveryOrder()
        _ = order.take(message(base + 7), now: start)
        _ = order.timerFired(now: start.advanced(by: .seconds(1)))
        let later = base + 5_000 << MessageNumbers.bits
        #expect(numbers(order.take(message(later), now: start)) == [0])
        // And the earlier one goes on: two processes of one identity.
        #expect(numbers(order.take(message(base + 8), now: start)) == [8])
        #expect(numbers(order.take(message(later + 1), now: start)) == [1])
    }

    @Test func whoLeavesOutMessagesFillsNothing() {
        var order = DeliveryOrder()
        _ = order.take(message(base), now: start)
        for number in 0..<DeliveryOrder.heldCount + 10 {
            _ = order.take(message(base + 2 + UInt64(number)), now: start)
        }
        #expect(order.heldCount <= DeliveryOrder.heldCount)
    }

    /// One member publishes under thousands of names: beyond the bound each costs a few looks, and not one at each author.
    @Test func authorsWithoutEndCostAFewLooksEach() {
        var order = DeliveryOrder()
        let faithful = IdentityKey.generate()
        _ = order.take(message(base, by: faithful), now: start)
        let more = 200
        for number in 1..<DeliveryOrder.authors + more {
            #expect(order.take(message(base, by: .generate()), now: start).count == 1)
            // Who is heard of again is not forgotten.
            if number % 100 == 0 { _ = order.take(message(base + UInt64(number / 100), by: faithful), now: start) }
        }
        #expect(order.looks >= more - 1)
        #expect(order.looks <= more * (DeliveryOrder.forgetTries + 1))
        // He would be waited for if he were new.
        let next = UInt64((DeliveryOrder.authors + more - 1) / 100) + 1
        #expect(numbers(order.take(message(base + next, by: faithful), now: start)) == [Int(next)])
    }

    /// Seen: 8,192 messages with gaps of one author, and of all others nothing waited for what was before it any more.
    @Test func anAuthorsGapsMakeNoOtherGiveUp() {
        var order = DeliveryOrder()
        let honest = IdentityKey.generate()
        _ = order.take(message(base), now: start)
        for number in 1...UInt64(DeliveryOrder.heldCount) { _ = order.take(message(base + 2 * number), now: start) }
        #expect(order.heldCount == DeliveryOrder.heldCount)
        #expect(numbers(order.take(message(base, by: honest), now: start)) == [0])
        let others = order.take(message(base + 2, by: honest), now: start)
        #expect(!others.isEmpty && !others.contains(.message(message(base + 2, by: honest))))
        #expect(order.heldCount <= DeliveryOrder.heldCount)
        #expect(numbers(order.take(message(base + 1, by: honest), now: start)) == [1, 2])
    }

    /// Under many names it is no better, and those who wait are not all looked at for each message.
    @Test func manyAuthorsGapsMakeNoOtherGiveUpWhatIsLittle() {
        var order = DeliveryOrder()
        let honest = IdentityKey.generate()
        _ = order.take(message(base, by: honest), now: start)
        _ = order.take(message(base + 2, by: honest), now: start)
        let (names, each, rounds) = (128, DeliveryOrder.heldCount / 128, UInt64(2))
        let liars = (0..<names).map { _ in IdentityKey.generate() }
        for liar in liars { _ = order.take(message(base, by: liar), now: start) }
        for number in 1...UInt64(each) * rounds {
            for liar in liars { _ = order.take(message(base + 2 * number, by: liar), now: start) }
        }
        #expect(order.heldCount <= DeliveryOrder.heldCount)
        #expect(order.looks <= names * each * Int(rounds))
        #expect(numbers(order.take(message(base + 1, by: honest), now: start)) == [1, 2])
    }

    /// Where everybody holds one message only, who has waited for longest gives up; nobody is looked at for that.
    @Test func ofManyWhoWaitTheFirstGivesUp() {
        var order = DeliveryOrder()
        var now = start
        let runs = UInt64(DeliveryOrder.runsPerAuthor)
        let authors = (0...DeliveryOrder.heldCount / Int(runs)).map { _ in IdentityKey.generate() }
        for author in authors {
            for run in 1...runs {
                now = now.advanced(by: .nanoseconds(1))
                _ = order.take(message(base + (run << (MessageNumbers.bits + 8)) + 5, by: author), now: now)
            }
        }
        #expect(order.heldCount == DeliveryOrder.heldCount && order.looks == 0)
        // Of the first author all was given up, and is known: its next ones have their turn.
        #expect(order.take(message(base + (1 << (MessageNumbers.bits + 8)) + 6, by: authors[0]), now: now).count == 1)
    }

    /// An author half of whose messages are lost: once they have had their time, and not one such time after the other.
    @Test func manyGapsAreGivenUpTogether() {
        var order = DeliveryOrder()
        _ = order.take(message(base), now: start)
        for number in 1...1_000 { _ = order.take(message(base + 2 * UInt64(number)), now: start) }
        let due = start.advanced(by: DeliveryOrder.patience)
        #expect(order.wake == due)
        #expect(numbers(order.timerFired(now: due)) == (1...1_000).flatMap { [-1, 2 * $0] })
        #expect(order.wake == nil && order.heldCount == 0 && order.heldBytes == 0)
    }

    @Test func numbersOfALaterRunAreBehindThoseBefore() {
        var (first, second) = (MessageNumbers(startingAt: 1_000), MessageNumbers(startingAt: 1_001))
        #expect(first.take(at: 1_000) + 1 == first.take(at: 1_000))
        #expect(second.take(at: 1_001) > first.take(at: 1_001))
        var last = MessageNumbers(startingAt: .max)
        _ = last.take(at: .max)
        #expect(!MessageNumbers.isCurrent(0, at: .max) && MessageNumbers.isCurrent(.max, at: .max))
    }

    /// A run's numbers say when a message is from, however long the run goes on, and are one row all the same.
    @Test func numbersHaveTheTimeAndStayOneRun() {
        let began: UInt64 = 1_700_000_000_123
        var (numbers, order) = (MessageNumbers(startingAt: began), DeliveryOrder())
        var time = began
        for number in 0..<50 {
            let sequence = numbers.take(at: time)
            #expect(MessageNumbers.count(of: sequence) == UInt64(number))
            #expect(MessageNumbers.time(of: sequence) <= time)
            #expect(time - MessageNumbers.time(of: sequence) < MessageNumbers.renewal)
            #expect(MessageNumbers.isCurrent(sequence, at: time))
            #expect(!MessageNumbers.isCurrent(sequence, at: time + PubSubLimits.newsTime + MessageNumbers.renewal))
            #expect(!MessageNumbers.isCurrent(sequence, at: began - PubSubLimits.clockSkew - 1))
            #expect(counts(order.take(message(sequence), now: start)) == [number])
            time += number % 10 == 9 ? 86_400_000 : 7_001
        }
    }

    /// What is missing where the time in the numbers changes is missed too, and what comes late is put before it.
    @Test func aGapWhereTheTimeChangesIsOne() {
        var order = DeliveryOrder()
        let later = base + MessageNumbers.renewal << MessageNumbers.bits
        #expect(counts(order.take(message(base), now: start)) == [0])
        #expect(order.take(message(later + 3), now: start).isEmpty)
        #expect(order.take(message(base + 2), now: start).isEmpty)
        #expect(counts(order.take(message(base + 1), now: start)) == [1, 2, 3])
        // Another time than the run's own, by some milliseconds: another process with this identity.
        let other = later + 5 << MessageNumbers.bits
        #expect(order.take(message(other + 4), now: start).isEmpty)
        #expect(counts(order.take(message(later + 4), now: start)) == [4])
        #expect(counts(order.take(message(other), now: start)) == [0])
    }

    /// What the application does not want has its place all the same: nothing waits for it.
    @Test func whatIsWithheldIsNotMissing() {
        var order = DeliveryOrder()
        #expect(counts(order.take(message(base), now: start)) == [0])
        #expect(order.take(message(base + 2), now: start).isEmpty)
        #expect(order.take(message(base + 3), isWithheld: true, now: start).isEmpty)
        #expect(order.take(message(base + 4), now: start).isEmpty)
        #expect(counts(order.take(message(base + 1), isWithheld: true, now: start)) == [2, 4])
        #expect(order.take(message(base + 5), isWithheld: true, now: start).isEmpty)
        #expect(counts(order.take(message(base + 6), now: start)) == [6])
        #expect(order.heldCount == 0 && order.heldBytes == 0 && order.wake == nil)
    }

    /// A clock that was far ahead and is put right: nobody would take what is ahead of his own.
    @Test func aClockThatIsPutBackBeginsARun() {
        var numbers = MessageNumbers(startingAt: 10_000_000)
        _ = numbers.take(at: 10_000_000)
        let sequence = numbers.take(at: 5_000_000)
        #expect(MessageNumbers.time(of: sequence) == 5_000_000 && MessageNumbers.count(of: sequence) == 0)
    }
}
