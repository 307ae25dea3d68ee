internal import DeP2PReactor

/// Takes many signs of a change for one: pure.
///
/// States: quiet ⇄ unsettled, from the first sign until none has come for ``quiet``, at most for ``patience``. Calling
/// order: ``changed(now:)`` for each sign, ``timerFired(_:now:)`` with what the network is like when ``wake`` comes.
struct NetworkMonitorMachine {
    /// An address comes with its routes, and a new network a moment after the old one went.
    static let quiet = Duration.milliseconds(250)
    static let patience = Duration.seconds(2)

    private struct Unsettled {
        let since: NetworkInstant
        var last: NetworkInstant
    }

    private var snapshot: NetworkSnapshot
    private var unsettled: Unsettled?

    init(_ snapshot: NetworkSnapshot) {
        self.snapshot = snapshot
    }

    /// When to look at the network.
    var wake: NetworkInstant? {
        unsettled.map { min($0.last.advanced(by: Self.quiet), $0.since.advanced(by: Self.patience)) }
    }

    mutating func changed(now: NetworkInstant) {
        unsettled = Unsettled(since: unsettled?.since ?? now, last: now)
    }

    /// - Returns: whether the network is another one: lifetimes that were prolonged change nothing.
    mutating func timerFired(_ current: NetworkSnapshot, now: NetworkInstant) -> Bool {
        guard let wake, wake <= now else { return false }
        unsettled = nil
        defer { snapshot = current }
        return current != snapshot
    }
}
