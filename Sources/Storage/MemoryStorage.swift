internal import DeP2PIdentity
internal import Synchronization

/// A store that ends with its process: for tests, simulations, and nodes that are to leave no trace.
///
/// It does what ``SQLiteStorage`` does when that is flushed after each write, row for row.
package final class MemoryStorage: Storage {
    private let spaces = Mutex<[Space: [[UInt8]: Row]]>([:])
    private let clock: @Sendable () -> UInt64

    package init(clock: @escaping @Sendable () -> UInt64 = WallClock.milliseconds) { self.clock = clock }

    package var condition: StorageCondition { StorageCondition() }

    package func row(_ key: [UInt8], in space: Space) -> Row? {
        spaces.withLock { $0[space]?[key] }?.seen(at: clock())
    }

    package func rows(in space: Space, prefix: [UInt8], newest limit: Int) -> [Row] {
        let now = clock()
        let rows = spaces.withLock { $0[space]?.values.filter { $0.key.starts(with: prefix) } } ?? []
        return Array(rows.sorted(by: Row.isNewer).lazy.compactMap { $0.seen(at: now) }.prefix(max(limit, 0)))
    }

    @discardableResult
    package func write(_ changes: [Change]) -> Bool {
        guard changes.allSatisfy(\.fits) else { return false }
        let now = clock()
        spaces.withLock { spaces in
            for change in changes { spaces[change.space, default: [:]][change.key] = change.row }
            for space in Set(changes.map(\.space)) { Self.evict(&spaces[space, default: [:]], space, at: now) }
        }
        return true
    }

    @discardableResult
    package func update(_ key: [UInt8], in space: Space, _ transform: @escaping @Sendable (Row?) -> Row?) -> Row? {
        let now = clock()
        return spaces.withLock { spaces in
            let old = spaces[space]?[key]?.seen(at: now)
            let new = transform(old).map { Row(key: key, value: $0.value, stamp: $0.stamp, expires: $0.expires) }
            guard new != old else { return old }
            guard Change(space: space, key: key, row: new).fits else { return old }
            spaces[space, default: [:]][key] = new
            Self.evict(&spaces[space, default: [:]], space, at: now)
            return spaces[space]?[key]?.seen(at: now)
        }
    }

    package func flush() {}

    private static func evict(_ rows: inout [[UInt8]: Row], _ space: Space, at now: UInt64) {
        let ended = Retention.endOfGrace(at: now)
        rows = rows.filter { row in row.value.expires.map { $0 > ended } ?? true }
        guard rows.count > space.rows else { return }
        let surplus = rows.values.sorted { Retention.precedes($0, $1, at: now) }.prefix(rows.count - space.rows)
        for row in surplus { rows[row.key] = nil }
    }
}
