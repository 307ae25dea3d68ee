import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PReactor

@Suite(.timeLimit(.minutes(1)))
@NetworkActor
struct WaiterTests {
    @Test func remembersAResultUntilSomeoneWaits() async throws {
        let waiter = Waiter<Int>()
        #expect(!waiter.isResolved)
        waiter.resume(returning: 4)
        waiter.resume(returning: 5)
        #expect(waiter.isResolved)
        #expect(try await waiter.value() == 4)
    }

    @Test func resumesTheOneWhoWaits() async throws {
        let waiter = Waiter<Int>()
        let task = networkTask { try await waiter.value() }
        await settle()
        waiter.resume(throwing: DeadlineExceeded(duration: .seconds(3)))
        waiter.resume(returning: 1)
        #expect(
            await failure { _ = try await task.value } as? DeadlineExceeded == DeadlineExceeded(duration: .seconds(3)))
    }

    @Test func cancellationEndsTheWaitEarlyOrLate() async throws {
        let waiter = Waiter<Int>()
        let task = networkTask { try await waiter.value() }
        task.cancel()
        #expect(await failure { _ = try await task.value } is CancellationError)
        waiter.resume(returning: 1)
        let other = Waiter<Int>()
        let waiting = networkTask { try await other.value() }
        await settle()
        waiting.cancel()
        #expect(await failure { _ = try await waiting.value } is CancellationError)
        #expect(other.isResolved)
    }
}

@Suite(.serialized, .timeLimit(.minutes(1)))
@NetworkActor
struct NetworkClockTests {
    @Test func sleepsInVirtualTimeInOrder() async throws {
        let network = SimulatedWorld(seed: 1).network
        let order = Box<[Int]>([])
        try await network.run {
            let start = network.now
            let sleepers = [30, 10, 20].map { delay in
                networkTask {
                    try await network.sleep(for: .seconds(delay))
                    order.value.append(delay)
                }
            }
            for sleeper in sleepers { try await sleeper.value }
            #expect(network.now.duration(since: start) == .seconds(30))
        }
        #expect(order.value == [10, 20, 30])
    }

    @Test func aCancelledSleepEndsAtOnceAndLeavesNoTimer() async throws {
        let network = SimulatedWorld(seed: 1).network
        await network.run {
            let start = network.now
            let ended = Box<NetworkInstant?>(nil)
            let sleeper = networkTask {
                defer { ended.value = network.now }
                try await network.sleep(for: .seconds(1_000))
            }
            await settle()
            sleeper.cancel()
            #expect(await failure { try await sleeper.value } is CancellationError)
            #expect(ended.value == start)
        }
        #expect(!network.wantsToAdvance)
    }

    @Test func aDeadlineCancelsItsBody() async throws {
        let network = SimulatedWorld(seed: 1).network
        try await network.run { () async throws -> Void in
            let start = network.now
            let late = await failure {
                try await network.withDeadline(.seconds(5)) { try await network.sleep(for: .seconds(50)) }
            }
            #expect(late as? DeadlineExceeded == DeadlineExceeded(duration: .seconds(5)))
            #expect(network.now.duration(since: start) == .seconds(5))
            let (seven, eight) = (
                try await network.withDeadline(.seconds(5)) { 7 }, try await network.withDeadline(nil) { 8 }
            )
            #expect(seven == 7 && eight == 8)
            let own = await failure {
                try await network.withDeadline(.seconds(5)) { throw DeadlineExceeded(duration: .seconds(9)) }
            }
            #expect(own as? DeadlineExceeded == DeadlineExceeded(duration: .seconds(9)))
            let outer = networkTask {
                try await network.withDeadline(.seconds(500)) { try await network.sleep(for: .seconds(400)) }
            }
            await settle()
            outer.cancel()
            let cancelled = await failure { try await outer.value }
            #expect(cancelled is CancellationError)
        }
        #expect(!network.wantsToAdvance)
    }

    @Test func virtualTimeWaitsForWorkElsewhere() async throws {
        let network = SimulatedWorld(seed: 1).network
        try await network.run {
            let sleeper = networkTask { try await network.sleep(for: .seconds(1)) }
            let start = network.now
            let sum = try await offload { (0..<100_000).reduce(0, &+) }
            #expect(sum == 4_999_950_000 && network.now == start)
            try await sleeper.value
        }
    }
}
