internal import CDeP2PSQLite
internal import Glibc

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

    let handle: OpaquePointer

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

    func check(_ status: Int32) throws(DatabaseError) {
        guard status == SQLITE_OK else { throw Self.error(handle, status) }
    }

    static func error(_ handle: OpaquePointer, _ status: Int32) -> DatabaseError {
        DatabaseError(
            code: max(sqlite3_extended_errcode(handle), status), message: String(cString: sqlite3_errmsg(handle)),
            system: sqlite3_system_errno(handle))
    }
}
