import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import Testing

@testable import DeP2PQUIC

/// The connection's receive window beside what a peer does with it.
@Suite struct ReceiveWindowTests {
    private let second = NetworkInstant(nanoseconds: 1_000_000_000)

    /// Whatever is read when: what the peer may have unread never exceeds the size, the size never its limit, and all
    /// that is read comes back but for a quarter.
    @Test(arguments: 0..<20)
    func neverGrantsMoreThanItsSize(_ seed: Int) {
        var random = SplitMix64(seed: UInt64(seed))
        var window = ReceiveWindow(size: 1_000, limit: 1_000 + random.next() % 50_000)
        var now = second
        var (granted, read): (UInt64, UInt64) = (1_000, 0)
        for _ in 0..<2_000 {
            now = now.advanced(by: .milliseconds(Int64(random.next() % 40)))
            let unread = granted - read
            #expect(unread <= window.size && window.size <= window.limit)
            #expect(unread >= window.size - window.size / 4)
            let count = random.next() % (unread + 1)
            read += count
            if window.consume(count) {
                granted += window.grant(
                    now: now, roundTrip: .milliseconds(10), shortestRoundTrip: .milliseconds(9), unread: granted - read)
            }
        }
    }

    @Test func growsOnlyWhenItComesBackWithinTwoRoundTrips() {
        var window = ReceiveWindow(size: 1_000, limit: 3_500)
        func readAll(after pause: Duration, from now: NetworkInstant) -> NetworkInstant {
            let now = now.advanced(by: pause)
            let isDue = window.consume(window.size)
            #expect(isDue)
            _ = window.grant(
                now: now, roundTrip: .milliseconds(10), shortestRoundTrip: .milliseconds(1), unread: 0)
            return now
        }
        var now = readAll(after: .zero, from: second)
        #expect(window.size == 1_000)
        now = readAll(after: .milliseconds(20), from: now)
        #expect(window.size == 1_000)
        now = readAll(after: .milliseconds(19), from: now)
        #expect(window.size == 2_000)
        now = readAll(after: .milliseconds(19), from: now)
        #expect(window.size == 3_500)
        now = readAll(after: .milliseconds(1), from: now)
        #expect(window.size == 3_500)
    }

    @Test func staysAsItIsWhileAQuarterOfItWaitsToBeRead() {
        var window = ReceiveWindow(size: 1_000, limit: 8_000)
        var now = second
        for (unread, size) in [(0, 1_000), (251, 1_000), (1_000, 1_000), (250, 2_000), (0, 4_000)] as [(UInt64, UInt64)]
        {
            now = now.advanced(by: .milliseconds(1))
            let isDue = window.consume(window.size)
            let credit = window.grant(
                now: now, roundTrip: .milliseconds(10), shortestRoundTrip: .milliseconds(9), unread: unread)
            #expect(isDue && credit >= size / 2 && window.size == size)
        }
    }

    /// What waits in this side's socket makes round trips longer, and then is read in no time: neither is a reason to let
    /// more wait.
    @Test func growsPastWhatIsModestByTheShortestRoundTripAndAWholeWindow() {
        let modest = ReceiveWindow.modest
        func size(after pauses: [Int64]) -> UInt64 {
            var window = ReceiveWindow(size: modest, limit: 4 * modest)
            var now = second
            for pause in [0] + pauses {
                now = now.advanced(by: .milliseconds(pause))
                _ = window.consume(modest / 4 + 1)
                _ = window.grant(
                    now: now, roundTrip: .milliseconds(100), shortestRoundTrip: .milliseconds(2), unread: 0)
            }
            return window.size
        }
        #expect(size(after: [4, 4, 4, 4]) == modest)
        #expect(size(after: [4, 4, 4, 3]) == 2 * modest)
        #expect(size(after: [0, 0, 0]) == modest, "less than a window")
        #expect(size(after: [16, 0, 0, 0, 16, 0, 0]) == modest, "what has waited is read at once")
        #expect(size(after: [3, 3, 3, 3, 3, 3, 3]) == 2 * modest, "each window is looked at anew")
        #expect(size(after: [3, 3, 3, 3, 3, 3, 3, 3]) == 4 * modest)
    }

    @Test func isRaisedAndNeverLowered() {
        var window = ReceiveWindow(size: 1_000, limit: 500)
        #expect(window.limit == 1_000)
        let credit = window.raise(to: 4_000, limit: 8_000)
        #expect(credit == 3_000 && window.size == 4_000 && window.limit == 8_000)
        let again = window.raise(to: 2_000, limit: 3_000)
        #expect(again == 0 && window.size == 4_000 && window.limit == 8_000)
    }
}
