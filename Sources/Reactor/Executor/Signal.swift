/// Something that happens again and again: who waits is woken when it next does, and looks then whether that was what it
/// waited for. What happened while nobody waited is not kept.
@NetworkActor
package final class Signal {
    private var waiters: [Waiter<Void>] = []
    private let clock: any NetworkClock

    package init(_ clock: any NetworkClock) {
        self.clock = clock
    }

    /// It has happened.
    package func send() {
        let woken = waiters
        waiters = []
        for waiter in woken { waiter.resume(returning: ()) }
    }

    /// Waits until it next happens, or until `deadline`.
    ///
    /// - Throws: `CancellationError`.
    package func wait(until deadline: NetworkInstant) async throws {
        let waiter = Waiter<Void>()
        waiters.append(waiter)
        let token = clock.schedule(at: deadline) { waiter.resume(returning: ()) }
        defer {
            clock.cancel(token)
            waiters.removeAll { $0 === waiter }
        }
        try await waiter.value()
    }
}
