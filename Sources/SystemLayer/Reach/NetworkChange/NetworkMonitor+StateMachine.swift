internal import DeP2PReactor

/// Takes many signs of a change for one: pure.
///
/// States: quiet ⇄ unsettled, from the first sign until none has come for ``quiet``, at most for ``patience``. Calling
/// order: ``changed(now:)`` for each sign, ``timerFired(now:)`` when ``wake`` comes, ``looked(_:)`` for each `look`.
struct NetworkMonitorMachine: TimedMachine {
    /// An address comes with its routes, and a new network a moment after the old one went.
    static let quiet = Duration.milliseconds(250)
    static let patience = Duration.seconds(2)

    enum Action: Equatable {
        /// Look what the network is like, and tell.
        case look
        /// The network is another one.
        case changed
    }

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

    mutating func timerFired(now: NetworkInstant) -> [Action] {
        guard let wake, wake <= now else { return [] }
        unsettled = nil
        return [.look]
    }

    /// What the network is like now: lifetimes that were prolonged change nothing.
    mutating func looked(_ current: NetworkSnapshot) -> [Action] {
        defer { snapshot = current }
        return current == snapshot ? [] : [.changed]
    }
}
