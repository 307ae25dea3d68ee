/// The form of the file. A later form is one more entry of ``migrations``; what is there is never changed.
struct Schema: Sendable {
    /// SQLite's application_id of our files: "dp2p".
    static let applicationID: Int64 = 0x6470_3270

    /// Statements that make version n + 1 of version n. Each runs in one transaction with the new version's number.
    let migrations: [String]

    /// What this program writes, and the latest that it reads.
    var version: Int64 { Int64(migrations.count) }

    static let current = Schema(migrations: [
        // `sum` tells a row that the disk has changed from one that was written: `RowStore.sum`. Without rowids, so that a
        // row is found by its key in one tree.
        """
        CREATE TABLE rows (
            space TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, stamp INTEGER NOT NULL, expires INTEGER,
            sum INTEGER NOT NULL, PRIMARY KEY (space, key)
        ) WITHOUT ROWID;
        CREATE INDEX rows_by_stamp ON rows (space, stamp DESC, key);
        """
    ])

    enum State: Equatable {
        case current
        /// Empty, or of an earlier version: to be migrated by whoever has the file alone.
        case outdated
        case newer(Int64)
        case foreign
    }

    /// Looks, and changes nothing.
    func state(of database: Database) throws(DatabaseError) -> State {
        let application = try database.integer("PRAGMA application_id") ?? 0
        let found = try database.integer("PRAGMA user_version") ?? 0
        guard application == Self.applicationID else {
            let objects = try database.integer("SELECT count(*) FROM sqlite_master") ?? 0
            return application == 0 && found == 0 && objects == 0 ? .outdated : .foreign
        }
        if found > version { return .newer(found) }
        return found == version ? .current : .outdated
    }

    /// Brings the file to this version, step by step.
    func migrate(_ database: Database) throws(DatabaseError) {
        try database.transaction { () throws(DatabaseError) in
            let found = try database.integer("PRAGMA user_version") ?? 0
            try database.execute("PRAGMA application_id = \(Self.applicationID)")
            for (index, step) in migrations.enumerated() where Int64(index) >= found { try database.execute(step) }
            try database.execute("PRAGMA user_version = \(version)")
        }
    }
}
