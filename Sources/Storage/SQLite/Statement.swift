internal import CDeP2PSQLite
internal import Glibc

/// One compiled statement: bind, then step until there is no row, then reset for the next use.
final class Statement {
    private let database: Database
    private let handle: OpaquePointer

    init(_ database: Database, _ sql: String) throws(DatabaseError) {
        self.database = database
        var prepared: OpaquePointer?
        try database.check(sqlite3_prepare_v2(database.handle, sql, -1, &prepared, nil))
        // No error and no statement is what white space gives: a mistake of ours.
        guard let prepared else { throw DatabaseError(code: SQLITE_MISUSE, message: "no statement", system: 0) }
        handle = prepared
    }

    // A failure of the last step is told again, and known.
    deinit { sqlite3_finalize(handle) }

    // MARK: Parameters, from 1 on

    func bind(_ index: Int32, _ text: String) throws(DatabaseError) {
        try database.check(dep2p_sqlite_bind_text(handle, index, text))
    }

    func bind(_ index: Int32, _ bytes: [UInt8]) throws(DatabaseError) {
        try database.check(dep2p_sqlite_bind_blob(handle, index, bytes, bytes.count))
    }

    /// `nil` is NULL. Numbers beyond what an integer of SQLite holds become the largest.
    func bind(_ index: Int32, _ number: UInt64?) throws(DatabaseError) {
        guard let number else { return try database.check(sqlite3_bind_null(handle, index)) }
        try bind(index, Int64(clamping: number))
    }

    func bind(_ index: Int32, _ number: Int64) throws(DatabaseError) {
        try database.check(sqlite3_bind_int64(handle, index, number))
    }

    // MARK: Running

    /// - Returns: whether there is a row to look at.
    func step() throws(DatabaseError) -> Bool {
        switch sqlite3_step(handle) {
        case SQLITE_ROW: return true
        case SQLITE_DONE: return false
        case let status: throw Database.error(database.handle, status)
        }
    }

    /// Runs it to its end and makes it ready for other parameters.
    func run() throws(DatabaseError) {
        while try step() {}
        reset()
    }

    func reset() { sqlite3_reset(handle) }

    // MARK: Columns of the present row, from 0 on

    func integer(_ column: Int32) -> Int64 { sqlite3_column_int64(handle, column) }

    func isNull(_ column: Int32) -> Bool { sqlite3_column_type(handle, column) == SQLITE_NULL }

    func blob(_ column: Int32) -> [UInt8] {
        // The pointer first, then the count (sqlite.org/c3ref/column_blob.html); an empty one has none.
        guard let start = sqlite3_column_blob(handle, column) else { return [] }
        return [UInt8](UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(handle, column))))
    }
}
