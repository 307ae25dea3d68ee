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

    @Test func numbersOfALaterRunAreBehindThoseBefore() {
        var (first, second) = (MessageNumbers(startingAt: 1_000), MessageNumbers(startingAt: 1_001))
        #expect(first.take() + 1 == first.take())
        #expect(second.take() > first.take())
        var last = MessageNumbers(startingAt: .max)
        _ = last.take()
    }
}
