internal import DeP2PIdentity

/// The rows of an open database: the statements that read and write them.
struct RowStore {
    private static let columns = "key, value, stamp, expires, sum"

    let database: Database

    // MARK: Reading

    /// The row as it was written, ended or not.
    func row(_ key: [UInt8], in space: Space) throws(DatabaseError) -> Row? {
        let statement = try Statement(database, "SELECT \(Self.columns) FROM rows WHERE space = ?1 AND key = ?2")
        try statement.bind(1, space.name)
        try statement.bind(2, key)
        guard try statement.step(), let row = Self.row(statement, in: space), row.key == key else { return nil }
        return row
    }

    /// The newest rows that have not ended.
    func rows(in space: Space, prefix: [UInt8], newest limit: Int, at now: UInt64) throws(DatabaseError) -> [Row] {
        let end = Self.end(of: prefix)
        let statement = try Statement(
            database,
            """
            SELECT \(Self.columns) FROM rows
            WHERE space = ?1 AND (expires IS NULL OR expires > ?2) AND key >= ?3 \(end == nil ? "" : "AND key < ?4")
            ORDER BY stamp DESC, key LIMIT ?5
            """)
        try statement.bind(1, space.name)
        try statement.bind(2, now)
        try statement.bind(3, prefix)
        if let end { try statement.bind(4, end) }
        try statement.bind(5, Int64(limit))
        var rows: [Row] = []
        while try statement.step() {
            if let row = Self.row(statement, in: space), row.key.starts(with: prefix) { rows.append(row) }
        }
        return rows
    }

    /// The first key after all that begin with `prefix`; `nil` when there is none.
    private static func end(of prefix: [UInt8]) -> [UInt8]? {
        guard let last = prefix.lastIndex(where: { $0 != 0xff }) else { return nil }
        return prefix[..<last] + [prefix[last] + 1]
    }

    /// `nil` for a row that is not as it was written: the disk changed it.
    private static func row(_ statement: Statement, in space: Space) -> Row? {
        let (stamp, expires) = (statement.integer(2), statement.isNull(3) ? nil : statement.integer(3))
        guard stamp >= 0, expires.map({ $0 >= 0 }) ?? true else { return nil }
        let row = Row(
            key: statement.blob(0), value: statement.blob(1), stamp: UInt64(stamp), expires: expires.map(UInt64.init))
        return sum(row, in: space) == statement.integer(4) ? row : nil
    }

    // MARK: Writing, in a transaction

    func apply(_ changes: [Space: [[UInt8]: Change]], at now: UInt64) throws(DatabaseError) {
        let put = try Statement(database, "INSERT OR REPLACE INTO rows VALUES (?1, ?2, ?3, ?4, ?5, ?6)")
        let remove = try Statement(database, "DELETE FROM rows WHERE space = ?1 AND key = ?2")
        for (space, changes) in changes {
            for change in changes.values {
                if let row = change.row {
                    try Self.put(row, in: space, put)
                } else {
                    try remove.bind(1, space.name)
                    try remove.bind(2, change.key)
                    try remove.run()
                }
            }
            try evict(space, at: now)
        }
    }

    private static func put(_ row: Row, in space: Space, _ statement: Statement) throws(DatabaseError) {
        try statement.bind(1, space.name)
        try statement.bind(2, row.key)
        try statement.bind(3, row.value)
        try statement.bind(4, row.stamp)
        try statement.bind(5, row.expires)
        try statement.bind(6, sum(row, in: space))
        try statement.run()
    }

    /// ``Retention`` in SQL.
    private func evict(_ space: Space, at now: UInt64) throws(DatabaseError) {
        let ended = try Statement(database, "DELETE FROM rows WHERE space = ?1 AND expires <= ?2")
        try ended.bind(1, space.name)
        try ended.bind(2, Retention.endOfGrace(at: now))
        try ended.run()
        let count = try Statement(database, "SELECT count(*) FROM rows WHERE space = ?1")
        try count.bind(1, space.name)
        guard try count.step(), count.integer(0) > Int64(space.rows) else { return }
        let surplus = count.integer(0) - Int64(space.rows)
        count.reset()
        let evict = try Statement(
            database,
            """
            DELETE FROM rows WHERE space = ?1 AND key IN (
                SELECT key FROM rows WHERE space = ?1
                ORDER BY CASE WHEN expires <= ?2 THEN 0 WHEN stamp > ?2 THEN 1 ELSE 2 END, stamp, key LIMIT ?3)
            """)
        try evict.bind(1, space.name)
        try evict.bind(2, now)
        try evict.bind(3, surplus)
        try evict.run()
    }

    /// 64 bits of SHA-256 over all that a row holds, each part behind its length.
    static func sum(_ row: Row, in space: Space) -> Int64 {
        var hasher = SHA256()
        for part in [Array(space.name.utf8), row.key, row.value] {
            hasher.update(UInt64(part.count).stored)
            hasher.update(part)
        }
        hasher.update(row.stamp.stored)
        hasher.update((row.expires ?? .max).stored)
        return Int64(bitPattern: hasher.finalize().bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) })
    }
}
