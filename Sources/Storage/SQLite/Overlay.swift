/// Changes that are not on disk, laid over what is there. Pure.
struct Overlay {
    /// What it holds at most, in bytes: more is lost, the least recent first.
    static let byteLimit = 4 * 1024 * 1024

    private(set) var changes: [Space: [[UInt8]: Change]] = [:]
    private(set) var cost = 0

    var isEmpty: Bool { changes.isEmpty }

    mutating func set(_ change: Change) {
        let old = changes[change.space, default: [:]].updateValue(change, forKey: change.key)
        cost += change.cost - (old?.cost ?? 0)
    }

    mutating func removeAll() {
        changes = [:]
        cost = 0
    }

    /// What is noted of a key: a change that says what, or nothing.
    func change(of key: [UInt8], in space: Space) -> Change? { changes[space]?[key] }

    /// How many rows of the disk the changes of a space can exchange or take away.
    func count(in space: Space) -> Int { changes[space]?.count ?? 0 }

    /// The `limit` newest of `rows`, which are the newest on disk, with the changes laid over them; as they are stored.
    func merged(with rows: [Row], in space: Space, prefix: [UInt8], newest limit: Int, at now: UInt64) -> [Row] {
        let changed = changes[space] ?? [:]
        let kept = rows.filter { changed[$0.key] == nil }
        let new = changed.values.compactMap(\.row).filter { $0.key.starts(with: prefix) }
        return Array((kept + new).sorted(by: Row.isNewer).lazy.filter { $0.seen(at: now) != nil }.prefix(limit))
    }

    /// Brings every space and the whole within their bounds.
    ///
    /// - Parameter remembersRemovals: there is a disk that a removal is still to reach.
    /// - Returns: how many changes were lost to the bound on bytes.
    mutating func trim(at now: UInt64, remembersRemovals: Bool) -> Int {
        for space in changes.keys { trim(space, at: now) }
        if !remembersRemovals { forgetRemovals() }
        guard cost > Self.byteLimit else { return 0 }
        var lost = 0
        let removals = changes.values.flatMap(\.values).filter { $0.row == nil }
        let puts = changes.values.flatMap(\.values).compactMap { change in change.row.map { (change.space, $0) } }
            .sorted { Retention.precedes($0.1, $1.1, at: now) }
        for change in removals + puts.map({ Change.put($0.1, in: $0.0) }) where cost > Self.byteLimit / 4 * 3 {
            forget(change)
            lost += 1
        }
        return lost
    }

    /// Of more new rows than a space has room for, the least recent become removals: what they were to replace must not
    /// outlive them.
    private mutating func trim(_ space: Space, at now: UInt64) {
        let rows = changes[space, default: [:]].values.compactMap(\.row)
        guard rows.count > space.rows else { return }
        for row in rows.sorted(by: { Retention.precedes($0, $1, at: now) }).prefix(rows.count - space.rows) {
            set(.remove(row.key, in: space))
        }
    }

    private mutating func forgetRemovals() {
        for change in changes.values.flatMap(\.values) where change.row == nil { forget(change) }
    }

    /// Forgets what is noted of the change's key.
    mutating func forget(_ change: Change) {
        guard let old = changes[change.space]?.removeValue(forKey: change.key) else { return }
        cost -= old.cost
        if changes[change.space]?.isEmpty ?? false { changes[change.space] = nil }
    }
}
