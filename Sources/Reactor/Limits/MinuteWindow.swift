/// What was asked for within the last minute: no more than a limit in any sixty seconds, whatever the limit: pure.
///
/// It counts by whole seconds, in a few bytes however much was asked for, so what was taken counts for up to 61 s.
package struct MinuteWindow: Equatable, Sendable {
    private static let seconds: UInt64 = 60

    private var counts: [(second: UInt64, taken: Int)] = []
    package private(set) var total = 0

    package init() {}

    package static func == (left: Self, right: Self) -> Bool {
        left.total == right.total && left.counts.elementsEqual(right.counts) { $0 == $1 }
    }

    /// Whether nothing of it counts any more.
    package mutating func isEmpty(now: NetworkInstant) -> Bool {
        forget(before: now)
        return counts.isEmpty
    }

    /// Takes one more, when fewer than `limit` were taken within a minute.
    package mutating func take(limit: Int, now: NetworkInstant) -> Bool {
        let second = now.nanoseconds / 1_000_000_000
        forget(before: now)
        guard total < limit else { return false }
        if counts.last?.second == second {
            counts[counts.count - 1].taken += 1
        } else {
            counts.append((second, 1))
        }
        total += 1
        return true
    }

    /// Gives back what was taken last.
    package mutating func giveBack() {
        guard let last = counts.last else { return }
        total -= 1
        if last.taken > 1 { counts[counts.count - 1].taken -= 1 } else { counts.removeLast() }
    }

    private mutating func forget(before now: NetworkInstant) {
        let second = now.nanoseconds / 1_000_000_000
        let over = counts.prefix { $0.second + Self.seconds < second }
        total -= over.reduce(0) { $0 + $1.taken }
        counts.removeFirst(over.count)
    }
}
