/// A read that may never come back, as from a network share whose server is gone: whoever waits for it waits for a while
/// only, and there is one at a time, since each that stands still takes a thread.
///
/// The time is the machine's, as the disk is: in a simulation too.
@NetworkActor
package final class PatientRead<Value: Sendable> {
    private let patience: Duration
    private var isUnderWay = false
    private var waiters: [Waiter<Value?>] = []

    /// - Parameter patience: how long each waits.
    package nonisolated init(patience: Duration = .seconds(1)) {
        self.patience = patience
    }

    /// What `work` finds, away from the network thread; while another read is under way, what that finds.
    ///
    /// - Parameter found: called with what was found, also when nobody waits for it any more.
    /// - Returns: `nil` when it took too long, or the waiting task was cancelled.
    package func value(
        found: @escaping @NetworkActor (Value) -> Void = { _ in }, _ work: @escaping @Sendable () -> Value
    ) async -> Value? {
        if !isUnderWay { start(work, found) }
        let waiter = Waiter<Value?>()
        waiters.append(waiter)
        let clock = SystemNetworkClock.shared
        let token = clock.schedule(after: patience) { waiter.resume(returning: nil) }
        defer {
            clock.cancel(token)
            waiters.removeAll { $0 === waiter }
        }
        // Who is cancelled has no use for it.
        return (try? await waiter.value()) ?? nil
    }

    private func start(_ work: @escaping @Sendable () -> Value, _ found: @escaping @NetworkActor (Value) -> Void) {
        isUnderWay = true
        networkTask { [self] in
            // It throws what `work` does: nothing.
            let value = try? await offload(work)
            isUnderWay = false
            value.map(found)
            for waiter in waiters { waiter.resume(returning: value) }
            waiters = []
        }
    }
}
