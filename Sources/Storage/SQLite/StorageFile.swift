internal import Glibc

/// Where a store is on disk: `state.db` in a node's state folder, with SQLite's own `-wal` and `-shm` beside it, and a lock.
///
/// Several processes may have the file open at once, each holding ``FileLock`` shared. Who makes it, brings it to a later
/// form or puts it aside holds the lock alone: SQLite itself gives no way to exchange a file that another process has open
/// (sqlite.org/howtocorrupt.html, "Unlinking or renaming a database file while in use").
///
/// Nothing here opens and closes the database beside SQLite once it exists: closing any descriptor of a file drops all
/// POSIX locks that the process has on it (same page, "POSIX advisory locks canceled").
struct StorageFile {
    static let name = "state.db"
    /// Files of earlier forms of the same memory; what they say is found out anew in an hour at most.
    private static let superseded = ["udp-blocked"]
    /// Up to this many bytes a file is read through when it is opened, so that damage shows before anything is believed.
    private static let checkLimit: Int64 = 8 * 1024 * 1024
    /// What the file may grow to, in pages of 4 KiB: 64 MiB.
    static let pageLimit = 16_384
    /// Pages after which what is in the log goes into the file.
    private static let checkpointPages = 256
    /// Bytes that the log keeps afterwards.
    private static let logLimit = 1 << 20
    /// How often, and after how many microseconds, a lock is asked for that another process has.
    private static let (tries, pause): (Int, useconds_t) = (50, 10_000)

    let folder: String
    let schema: Schema
    /// As in ``pageLimit``; tests fill smaller ones.
    var pages = Self.pageLimit
    /// Milliseconds that a statement waits for another process: each holds the file for a millisecond or so.
    var patience: Int32 = 100
    /// The same of an update: its caller wants what is there, not what was.
    var updatePatience: Int32 = 1_000

    var path: String { "\(folder)/\(Self.name)" }

    /// A file that is open, ready, and of this program's form.
    struct Opened {
        let database: Database
        let lock: FileLock
        /// Which file it is, should another take its name.
        let identity: FileIdentity
        /// Where the damaged file is that stood in its place.
        let setAside: String?
    }

    private enum Look {
        case ready(Database)
        /// To be made or brought to the present form, by one process alone.
        case needsWork
        /// To be put aside, by one process alone.
        case isDamaged(String)
    }

    /// - Parameters:
    ///   - creates: whether to make it when it does not exist; `nil` is returned otherwise.
    ///   - isSuspect: it has failed in use, so that its looking right is no proof.
    func open(creates: Bool, isSuspect: Bool = false) throws(StorageProblem) -> Opened? {
        guard try identity() != nil || creates else { return nil }
        makeFolder()
        let lock = try FileLock("\(path).lock")
        var damage = isSuspect ? "it failed in use" : nil
        var setAside: String?
        for attempt in 0..<Self.tries {
            // Another process holds the lock, and nobody tells when it lets go.
            if attempt > 0 { usleep(Self.pause) }
            guard try lock.take(alone: false) else { continue }
            if !isSuspect || setAside != nil {
                damage = nil
                switch try look() {
                case .ready(let database):
                    guard let identity = try identity() else { continue }
                    return Opened(database: database, lock: lock, identity: identity, setAside: setAside)
                case .isDamaged(let detail): damage = detail
                case .needsWork: break
                }
            }
            // Another may have done the work by the time that this one would have it alone: it looks again.
            guard try lock.take(alone: true) else { continue }
            setAside = try work(isDamaged: isSuspect && setAside == nil) ?? setAside
        }
        throw StorageProblem(code: damage == nil ? .busy : .damaged, path: path, detail: damage ?? "")
    }

    /// Which file stands under the name; `nil` when none does.
    func identity() throws(StorageProblem) -> FileIdentity? {
        var status = stat()
        guard lstat(path, &status) == 0 else {
            guard errno == ENOENT else { throw problem(errno) }
            return nil
        }
        guard status.st_mode & S_IFMT == S_IFREG else { throw StorageProblem(code: .notAFile, path: path, detail: "") }
        return FileIdentity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
    }

    // MARK: Looking

    private struct Examined {
        let database: Database
        let state: Schema.State
        /// Looked at when it is otherwise ready.
        let isSound: Bool
    }

    private func look() throws(StorageProblem) -> Look {
        guard try identity() != nil else { return .needsWork }
        // What another program made of the mode is undone; of somebody else's file it cannot be.
        chmod(path, 0o600)
        let found: Examined
        do throws(DatabaseError) {
            found = try examine()
        } catch {
            let problem = error.problem(path)
            guard problem.code == .damaged else { throw problem }
            return .isDamaged(problem.detail)
        }
        switch found.state {
        case .newer(let version):
            throw StorageProblem(code: .newerVersion, path: path, detail: "\(version), not \(schema.version)")
        case .foreign: throw StorageProblem(code: .otherApplication, path: path, detail: "")
        case .current, .outdated: break
        }
        guard !found.database.isReadOnly else {
            let code = access(path, W_OK) == 0 ? .readOnly : StorageProblem.code(errno: errno)
            throw StorageProblem(code: code, path: path, detail: "it cannot be written")
        }
        guard found.state == .current else { return .needsWork }
        return found.isSound ? .ready(found.database) : .isDamaged("its pages contradict each other")
    }

    private func examine() throws(DatabaseError) -> Examined {
        let database = try Database(path: path, patience: patience)
        let state = try schema.state(of: database)
        guard state == .current, !database.isReadOnly else {
            return Examined(database: database, state: state, isSound: true)
        }
        try configure(database)
        return Examined(database: database, state: state, isSound: try isSound(database))
    }

    private func configure(_ database: Database) throws(DatabaseError) {
        // Where a file system has no shared memory for a log, SQLite keeps its older journal.
        let hasLog = try database.text("PRAGMA journal_mode") == "wal"
        // With a log, NORMAL loses the last transactions to a power cut and never the file; with a journal that takes FULL.
        try database.execute(
            """
            PRAGMA synchronous = \(hasLog ? "NORMAL" : "FULL");
            PRAGMA wal_autocheckpoint = \(Self.checkpointPages);
            PRAGMA journal_size_limit = \(Self.logLimit);
            PRAGMA max_page_count = \(pages);
            PRAGMA cache_size = -512;
            PRAGMA temp_store = MEMORY;
            PRAGMA cell_size_check = ON;
            """)
    }

    private func isSound(_ database: Database) throws(DatabaseError) -> Bool {
        let pages = try database.integer("PRAGMA page_count") ?? 0
        let size = try database.integer("PRAGMA page_size") ?? 0
        guard pages.multipliedReportingOverflow(by: size).partialValue <= Self.checkLimit else { return true }
        return try database.text("PRAGMA quick_check(1)") == "ok"
    }

    // MARK: Work, with the lock held alone

    /// - Returns: where a damaged file was put.
    private func work(isDamaged: Bool) throws(StorageProblem) -> String? {
        var isDamaged = isDamaged
        if !isDamaged, try identity() != nil {
            do throws(DatabaseError) {
                if try prepare() { return nil }
                isDamaged = true
            } catch {
                let problem = error.problem(path)
                guard problem.code == .damaged else { throw problem }
                isDamaged = true
            }
        }
        let setAside = isDamaged ? try putAside() : nil
        try create()
        do throws(DatabaseError) {
            _ = try prepare()
        } catch {
            throw error.problem(path)
        }
        return setAside
    }

    /// Brings the file to the present form; leaves alone what is not ours to bring there.
    ///
    /// - Returns: false when it is damaged.
    private func prepare() throws(DatabaseError) -> Bool {
        let database = try Database(path: path, patience: patience)
        switch try schema.state(of: database) {
        case .newer, .foreign: return true
        case .current: return try isSound(database)
        case .outdated: break
        }
        _ = try database.text("PRAGMA journal_mode = WAL")
        try configure(database)
        guard try isSound(database) else { return false }
        try schema.migrate(database)
        return true
    }

    private func create() throws(StorageProblem) {
        let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw problem(errno) }
        close(descriptor)
        for name in Self.superseded { unlink("\(folder)/\(name)") }
    }

    /// Keeps a damaged file, and one only, for whoever wants to know. The log goes first: a new file must not find it.
    private func putAside() throws(StorageProblem) -> String {
        let target = "\(path).damaged"
        for suffix in ["-wal", "-journal", ""] {
            unlink(target + suffix)
            guard rename(path + suffix, target + suffix) == 0 || errno == ENOENT else { throw problem(errno) }
        }
        unlink("\(path)-shm")
        return target
    }

    private func makeFolder() {
        var end = folder.utf8.startIndex
        while let slash = folder.utf8[end...].dropFirst().firstIndex(of: UInt8(ascii: "/")) {
            end = slash
            mkdir(String(folder[..<end]), 0o700)
        }
        // Whatever fails here shows when the lock is opened.
        mkdir(folder, 0o700)
    }

    // MARK: Problems

    private func problem(_ code: Int32) -> StorageProblem {
        StorageProblem(code: StorageProblem.code(errno: code), path: path, detail: String(cString: strerror(code)))
    }
}

/// Which file a name stands for.
struct FileIdentity: Equatable {
    let device: UInt64
    let inode: UInt64
}
