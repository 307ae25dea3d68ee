internal import DeP2PReactor

/// When a better straight path than the present one is looked for: pure.
///
/// The peer says what would be looked at, so that it can bring on looks: each wait is twice the one before, whatever came
/// of it, and only a change of this node's own network begins anew. Calling order: ``hope(now:)`` when there is something to
/// look at, ``begin(now:)`` at ``due``.
struct SeekSchedule: Equatable {
    /// From the hope to the first look: what else comes soon belongs to it.
    static let settling = Duration.seconds(1)
    /// From one look to the next: this, doubled with each up to the longest.
    static let firstInterval = Duration.seconds(10)
    static let longestInterval = Duration.seconds(600)

    private(set) var due: NetworkInstant?
    private var last: NetworkInstant?
    private var count = 0

    /// An address is known that a better path may lead to.
    mutating func hope(now: NetworkInstant) {
        guard due == nil else { return }
        let earliest = last?.advanced(by: Self.interval(after: count)) ?? now
        due = max(earliest, now.advanced(by: Self.settling))
    }

    mutating func begin(now: NetworkInstant) {
        (due, last) = (nil, now)
        count += 1
    }

    /// The path is another one, about which nothing is hoped yet.
    mutating func forget() { due = nil }

    /// This node's network has changed: what was looked at in vain may be there now.
    mutating func restart(now: NetworkInstant) {
        let wasDue = due != nil
        self = Self()
        if wasDue { hope(now: now) }
    }

    private static func interval(after count: Int) -> Duration {
        min(firstInterval * (1 << min(max(count - 1, 0), 16)), longestInterval)
    }
}
