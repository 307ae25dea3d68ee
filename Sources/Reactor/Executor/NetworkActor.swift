/// The thread that owns everything that touches the network.
///
/// Every stateful class of the engine is isolated to this actor: calls between them are plain synchronous calls,
/// checked by the compiler, and need no locks. Work that blocks (files, hashing, key stretching) leaves it through
/// ``offload(_:)``. The actor's executor is the packet driver's own thread, so a received datagram reaches a waiting
/// task without crossing threads.
@globalActor
public actor NetworkActor {
    public static let shared = NetworkActor()
    package static let executor = NetworkExecutor()

    public nonisolated var unownedExecutor: UnownedSerialExecutor {
        Self.executor.asUnownedSerialExecutor()
    }

    /// Runs `body` synchronously when the caller is already on the network thread; traps when it is not.
    ///
    /// For entry points that the type system cannot follow: C callbacks and the executor's own loop.
    @inlinable
    public static func assumeIsolated<Result: Sendable>(_ body: @NetworkActor () throws -> Result) rethrows -> Result {
        typealias Plain = () throws -> Result
        checkIsolated()
        // The isolation of a function type is not part of its calling convention; the check above proves that
        // this thread is the executor's (SE-0392 and SE-0424; MainActor.assumeIsolated does the same).
        return try withoutActuallyEscaping(body) { escaping in
            try unsafeBitCast(escaping, to: Plain.self)()
        }
    }

    /// As ``assumeIsolated(_:)`` of a function that captures nothing, with what it would capture as arguments: what calls it
    /// for each of many small things makes no object each time.
    @inlinable
    public static func assumeIsolated<First, Second, Result: Sendable>(
        _ first: First, _ second: Second, _ body: @escaping @NetworkActor (First, Second) -> Result
    ) -> Result {
        checkIsolated()
        return unsafeBitCast(body, to: ((First, Second) -> Result).self)(first, second)
    }

    @usableFromInline
    static func checkIsolated() { executor.checkIsolated() }

    /// Runs `action` once, after the tasks that are ready now have run and before the thread next waits.
    ///
    /// What many small writes of one turn need is done once for all of them this way.
    @NetworkActor
    package static func beforeWaiting(_ action: @escaping @NetworkActor () -> Void) {
        executor.beforeWaiting.append(action)
    }

    /// Runs `action` once, as soon as the task that runs now waits or ends, before others that are ready.
    @NetworkActor
    package static func afterThisTask(_ action: @escaping @NetworkActor () -> Void) {
        executor.afterJob.append(action)
    }
}

extension NetworkActor {
    /// The network thread as the executor that a task prefers: see ``networkTask(_:)``.
    public static var taskExecutor: any TaskExecutor { executor }
}

/// Starts a task that lives on the network thread.
///
/// A continuation resumes its task on the task's preferred executor first, and only then on its actor's: without this
/// preference every wait ends with a detour through the global thread pool, which costs two thread switches, and in a
/// simulation lets virtual time run on meanwhile.
@discardableResult @inlinable
public func networkTask<Success: Sendable>(
    _ operation: @escaping @NetworkActor @Sendable () async throws -> Success
) -> Task<Success, any Error> {
    Task(executorPreference: NetworkActor.taskExecutor, operation: operation)
}

/// As ``networkTask(_:)`` for what does not throw.
@discardableResult @inlinable
public func networkTask<Success: Sendable>(
    _ operation: @escaping @NetworkActor @Sendable () async -> Success
) -> Task<Success, Never> {
    Task(executorPreference: NetworkActor.taskExecutor, operation: operation)
}
