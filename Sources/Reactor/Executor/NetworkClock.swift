/// Time as a node sees it: the machine's monotonic clock, or a simulated network's virtual one.
@NetworkActor
public protocol NetworkClock: AnyObject, Sendable {
    var now: NetworkInstant { get }

    /// Runs `action` on the network thread at `deadline` or soon after.
    func schedule(at deadline: NetworkInstant, _ action: @escaping @NetworkActor () -> Void) -> TimerToken

    /// Forgets a scheduled action; a token that has already fired is ignored.
    func cancel(_ token: TimerToken)
}

/// Names one scheduled action of one clock.
public struct TimerToken: Hashable, Sendable {
    public let id: UInt64
    /// Where the clock keeps the action.
    @usableFromInline let place: UInt32

    @inlinable
    public init(id: UInt64, place: UInt32 = 0) {
        self.id = id
        self.place = place
    }
}

/// A wait that its deadline ended.
public struct DeadlineExceeded: Error, Equatable, Sendable {
    public let duration: Duration

    public init(duration: Duration) { self.duration = duration }
}

extension NetworkClock {
    public func schedule(after delay: Duration, _ action: @escaping @NetworkActor () -> Void) -> TimerToken {
        schedule(at: now.advanced(by: delay), action)
    }

    /// Suspends for `duration`; throws `CancellationError` when the task is cancelled meanwhile.
    public func sleep(for duration: Duration) async throws {
        try Task.checkCancellation()
        let waiter = Waiter<Void>()
        let token = schedule(after: duration) { waiter.resume(returning: ()) }
        defer { cancel(token) }
        try await waiter.value()
    }

    /// Runs `body`, and cancels it after `duration`.
    ///
    /// - Throws: ``DeadlineExceeded`` when the time ran out first, otherwise what `body` throws.
    ///   `nil` waits for ever.
    @inlinable
    public func withDeadline<Result: Sendable>(
        _ duration: Duration?, _ body: @escaping @NetworkActor @Sendable () async throws -> Result
    ) async throws -> Result {
        guard let duration else { return try await body() }
        let progress = DeadlineProgress()
        let task = networkTask {
            defer { progress.isFinished = true }
            return try await body()
        }
        let token = schedule(after: duration) {
            guard !progress.isFinished else { return }
            progress.isExpired = true
            task.cancel()
        }
        defer { cancel(token) }
        let result = await withTaskCancellationHandler {
            await task.result
        } onCancel: {
            task.cancel()
        }
        switch result {
        case .success(let value): return value
        case .failure where progress.isExpired: throw DeadlineExceeded(duration: duration)
        case .failure(let error): throw error
        }
    }
}

/// What came first. The task's end is known here before its result is: awaiting that leaves the network thread.
@NetworkActor
@usableFromInline
final class DeadlineProgress {
    @usableFromInline var isFinished = false
    @usableFromInline var isExpired = false

    @usableFromInline
    init() {}
}
