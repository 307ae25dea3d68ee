/// A one-shot promise on the network thread: one side waits, the other resumes it once.
///
/// Public, so that other modules compile it for their own values: as a generic it looks up its types anew in each call, and
/// what is `package` the compiler does not look into.
///
/// Resuming before anyone waits is remembered. Cancelling the waiting task throws `CancellationError` from ``value()``.
///
/// Its continuation is the unchecked one, which each connection makes a dozen of: the checked one is an object more, whose
/// type the runtime looks up by name for each copy. What it would check holds by this: `waiting` is entered once, from
/// `idle`, and left by ``resume(with:)`` alone, on one thread, which resumes it and leaves no copy; and as the task that
/// waits holds the waiter, none goes away with somebody waiting.
@NetworkActor
public final class Waiter<Value: Sendable> {
    @usableFromInline
    enum State {
        case idle
        case waiting(UnsafeContinuation<Value, any Error>)
        case resolved(Result<Value, any Error>)
        case finished
    }

    @usableFromInline var state = State.idle

    @inlinable
    public init() {}

    @inlinable
    public var isResolved: Bool {
        switch state {
        case .resolved, .finished: true
        case .idle, .waiting: false
        }
    }

    @inlinable
    public func resume(returning value: Value) { resume(with: .success(value)) }

    @inlinable
    public func resume(throwing error: any Error) { resume(with: .failure(error)) }

    @inlinable
    public func resume(with result: Result<Value, any Error>) {
        switch state {
        case .idle: state = .resolved(result)
        case .waiting(let continuation):
            state = .finished
            continuation.resume(with: result)
        case .resolved, .finished: break
        }
    }

    /// Waits for the result. At most one task may wait, once.
    @inlinable
    public func value() async throws -> Value {
        if case .resolved(let result) = state {
            state = .finished
            return try result.get()
        }
        return try await withTaskCancellationHandler {
            try await withUnsafeThrowingContinuation { continuation in
                switch state {
                case .idle where Task.isCancelled:
                    state = .finished
                    continuation.resume(throwing: CancellationError())
                case .idle: state = .waiting(continuation)
                case .resolved(let result):
                    state = .finished
                    continuation.resume(with: result)
                case .waiting, .finished: preconditionFailure("a Waiter serves one waiting task, once")
                }
            }
        } onCancel: {
            networkTask { self.resume(throwing: CancellationError()) }
        }
    }
}
