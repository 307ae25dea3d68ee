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
