/// Which rows of a space stay: one rule for the disk and for memory.
enum Retention {
    /// How long an ended row is kept at least: a clock that runs ahead for a while must not clear the store.
    static let grace: UInt64 = 86_400_000

    /// What is cleared away whatever room there is: rows that ended at this time or before.
    static func endOfGrace(at now: UInt64) -> UInt64 { now - min(now, grace) }

    /// Least goes first: what has ended, then what claims to be from the future, then the least recent.
    static func precedes(_ left: Row, _ right: Row, at now: UInt64) -> Bool {
        let (first, second) = (rank(left, now), rank(right, now))
        guard first == second else { return first < second }
        guard left.stamp == right.stamp else { return left.stamp < right.stamp }
        return left.key.lexicographicallyPrecedes(right.key)
    }

    private static func rank(_ row: Row, _ now: UInt64) -> Int {
        if let expires = row.expires, expires <= now { return 0 }
        return row.stamp > now ? 1 : 2
    }
}

extension Row {
    /// The row as it is read at `now`; `nil` when it has ended.
    func seen(at now: UInt64) -> Row? {
        if let expires, expires <= now { return nil }
        return stamp <= now ? self : Row(key: key, value: value, stamp: now, expires: expires)
    }

    /// The order of ``Storage/rows(in:prefix:newest:)``, by the stamps that are stored.
    static func isNewer(_ left: Row, _ right: Row) -> Bool {
        guard left.stamp == right.stamp else { return left.stamp > right.stamp }
        return left.key.lexicographicallyPrecedes(right.key)
    }
}
