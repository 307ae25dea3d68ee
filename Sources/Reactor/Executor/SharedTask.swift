/// Work on the network thread that several callers wait for; it is cancelled when the last of them gave up.
///
/// Awaiting `Task.value` leaves the network thread for the global pool and comes back: slow, and in a simulation time
/// moves on meanwhile. This stays.
@NetworkActor
public final class SharedTask<Value: Sendable> {
    @usableFromInline var task: Task<Void, Never>?
    @usableFromInline var result: Result<Value, any Error>?
    @usableFromInline var waiters: [Waiter<Value>] = []
    /// Whether it has been told to stop. It may take a while, and its outcome is nobody's.
    public private(set) var isCancelled = false
    /// Called once when the work is over.
    @usableFromInline var onFinish: (@NetworkActor () -> Void)?

    @inlinable
    public init(_ body: @escaping @NetworkActor @Sendable () async throws -> Value) {
        task = networkTask { [self] in
            do {
                finish(.success(try await body()))
            } catch {
                finish(.failure(error))
            }
        }
    }

    public func cancel() {
        isCancelled = true
        task?.cancel()
    }

    /// The work's outcome.
    ///
    /// - Throws: what the work threw; `CancellationError` at once when the waiting task is cancelled.
    @inlinable
    public func value() async throws -> Value {
        if let result { return try result.get() }
        let waiter = Waiter<Value>()
        waiters.append(waiter)
        defer {
            waiters.removeAll { $0 === waiter }
            if waiters.isEmpty, result == nil { cancel() }
        }
        return try await waiter.value()
    }

    @inlinable
    func finish(_ result: Result<Value, any Error>) {
        self.result = result
        task = nil
        onFinish?()
        onFinish = nil
        for waiter in waiters { waiter.resume(with: result) }
        waiters = []
    }
}
