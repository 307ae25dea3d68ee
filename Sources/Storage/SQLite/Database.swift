internal import CDeP2PSQLite
internal import Glibc

/// What SQLite says went wrong.
struct DatabaseError: Error {
    /// The extended result code.
    let code: Int32
    let message: String
    /// The system's own `errno`; of use where the code says that the system failed.
    let system: Int32

    /// The result code without its extension.
    var primary: Int32 { code & 0xff }
}

/// An open database file, and the one door to SQLite: every call of its C interface is in this file.
///
/// Not for two threads at once: it is opened without locks of its own (SQLITE_OPEN_NOMUTEX), and is kept inside a mutex.
///
/// Pointers: `handle` is opened in `init` and closed in `deinit`, which runs after that of every ``Statement``, since each
/// holds its database. A statement's handle is prepared in `init` and finalised in `deinit`. Text and blobs that are bound
/// are copied by SQLite before the call returns (SQLITE_TRANSIENT in the shim); what it lends of a row is copied here
/// before the statement is stepped or reset. Strings for C live as long as the call.
final class Database {
    /// Instructions of its machine that one statement may take: far more than any of ours needs, and an end for one that
    /// a damaged file leads astray.
    private static let instructionLimit: Int32 = 50_000_000
    /// The longest row or statement, in bytes.
    private static let lengthLimit: Int32 = 1 << 20

    fileprivate let handle: OpaquePointer

    /// Opens a file that exists; nothing is read of it yet.
    ///
    /// - Parameter patience: milliseconds that a call waits for a lock of another process.
    init(path: String, patience: Int32) throws(DatabaseError) {
        var opened: OpaquePointer?
        // A relative path must not begin like a URI.
        let path = path.hasPrefix("/") ? path : "./" + path
        let status = sqlite3_open_v2(path, &opened, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nil)
        guard let opened else { throw DatabaseError(code: status, message: "no memory", system: ENOMEM) }
        guard status == SQLITE_OK else {
            // A handle that failed to open says why, and is to be closed too (sqlite.org/c3ref/open.html).
            let error = Self.error(opened, status)
            sqlite3_close_v2(opened)
            throw error
        }
        handle = opened
        sqlite3_extended_result_codes(handle, 1)
        sqlite3_busy_timeout(handle, patience)
        // Returning other than zero ends the statement; the context is not looked at.
        sqlite3_progress_handler(handle, Self.instructionLimit, { _ in 1 }, nil)
        sqlite3_limit(handle, SQLITE_LIMIT_LENGTH, Self.lengthLimit)
        // A file may have been tampered with: nothing in its schema is to run, and nothing of ours may harm its form
        // (sqlite.org/security.html). Closing writes nothing: the next to open it reads the log, and nobody waits for
        // the disk when a program ends.
        for (option, value) in [
            (SQLITE_DBCONFIG_DEFENSIVE, 1), (SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0), (SQLITE_DBCONFIG_ENABLE_TRIGGER, 0),
            (SQLITE_DBCONFIG_ENABLE_VIEW, 0), (SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1),
        ] { _ = dep2p_sqlite_configure(handle, option, Int32(value)) }
    }

    deinit { sqlite3_close_v2(handle) }

    /// Whether the file can only be read; SQLite opens it all the same then.
    var isReadOnly: Bool { sqlite3_db_readonly(handle, "main") != 0 }

    var isInTransaction: Bool { sqlite3_get_autocommit(handle) == 0 }

    func setPatience(milliseconds: Int32) { sqlite3_busy_timeout(handle, milliseconds) }

    /// Runs statements that have no parameters and whose rows are of no interest.
    func execute(_ sql: String) throws(DatabaseError) {
        try check(sqlite3_exec(handle, sql, nil, nil, nil))
    }

    /// The first column of the first row as a number; `nil` without a row.
    func integer(_ sql: String) throws(DatabaseError) -> Int64? {
        let statement = try Statement(self, sql)
        return try statement.step() ? statement.integer(0) : nil
    }

    /// The first column of the first row as text; `nil` without a row.
    func text(_ sql: String) throws(DatabaseError) -> String? {
        let statement = try Statement(self, sql)
        return try statement.step() ? String(decoding: statement.blob(0), as: UTF8.self) : nil
    }

    /// Runs `body` as one change that is made whole or not at all, and before which no other process's can come.
    func transaction<Result>(_ body: () throws(DatabaseError) -> Result) throws(DatabaseError) -> Result {
        try execute("BEGIN IMMEDIATE")
        do throws(DatabaseError) {
            let result = try body()
            try execute("COMMIT")
            return result
        } catch {
            // Some failures have rolled back already.
            if isInTransaction { try? execute("ROLLBACK") }
            throw error
        }
    }

    fileprivate func check(_ status: Int32) throws(DatabaseError) {
        guard status == SQLITE_OK else { throw Self.error(handle, status) }
    }

    fileprivate static func error(_ handle: OpaquePointer, _ status: Int32) -> DatabaseError {
        DatabaseError(
            code: max(sqlite3_extended_errcode(handle), status), message: String(cString: sqlite3_errmsg(handle)),
            system: sqlite3_system_errno(handle))
    }
}

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

extension DatabaseError {
    /// What it means for a store whose file is at `path`.
    func problem(_ path: String) -> StorageProblem {
        StorageProblem(code: problemCode, path: path, detail: message)
    }

    private var problemCode: StorageProblem.Code {
        switch primary {
        case SQLITE_FULL: .full
        case SQLITE_READONLY: .readOnly
        case SQLITE_PERM, SQLITE_AUTH: .noPermission
        case SQLITE_BUSY, SQLITE_LOCKED, SQLITE_PROTOCOL: .busy
        case SQLITE_CANTOPEN, SQLITE_IOERR: StorageProblem.code(errno: system)
        case SQLITE_NOMEM, SQLITE_NOLFS: .system
        // Our own statements are right: whatever else fails does so for what it finds in the file.
        default: .damaged
        }
    }
}
