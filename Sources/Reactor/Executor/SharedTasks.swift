/// Shared work by key: who asks for what is under way waits for that.
///
/// Work that was cancelled, since the last who waited for it gave up, is nobody's to wait for any more, even while it
/// winds up: who asks then begins it anew.
@NetworkActor
public final class SharedTasks<Key: Hashable & Sendable, Value: Sendable> {
    @usableFromInline var running: [Key: SharedTask<Value>] = [:]

    @inlinable
    public init() {}

    @inlinable
    public var count: Int { running.count }

    /// The work under way for `key`; `nil` when there is none that could be waited for.
    @inlinable
    public subscript(key: Key) -> SharedTask<Value>? {
        running[key].flatMap { $0.isCancelled ? nil : $0 }
    }

    /// The work under way for `key`, or else `body`, begun now.
    @inlinable
    public func task(
        for key: Key, _ body: @escaping @NetworkActor @Sendable () async throws -> Value
    ) -> SharedTask<Value> {
        if let task = self[key] { return task }
        let task = SharedTask(body)
        running[key] = task
        task.onFinish = { [weak self, weak task] in
            // Its place may be another's by now.
            guard let self, let task, running[key] === task else { return }
            running[key] = nil
        }
        return task
    }

    @inlinable
    public func cancelAll() {
        for task in running.values { task.cancel() }
        running = [:]
    }
}
