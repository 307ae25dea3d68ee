internal import DeP2PQUIC
internal import Glibc

/// An open file that closes itself.
final class Descriptor: Sendable {
    let number: Int32

    /// Takes ownership of `number`.
    init(owning number: Int32) {
        self.number = number
    }

    deinit {
        close(number)
    }

    /// Opens `path` (one component, unless `directory` is `nil`) relative to `directory`.
    static func open(
        _ path: [UInt8], in directory: Descriptor?, flags: Int32, mode: mode_t = 0
    ) -> Result<Descriptor, FileError> {
        path.withCString { path in
            while true {
                let number = openat(directory?.number ?? AT_FDCWD, path, flags | O_CLOEXEC | O_NOCTTY, mode)
                if number >= 0 { return .success(Descriptor(owning: number)) }
                if errno != EINTR { return .failure(FileError(errno: errno)) }
            }
        }
    }

    /// Opens the folder `path`; not through a symlink in its last component.
    static func openDirectory(_ path: [UInt8], in directory: Descriptor?) -> Result<Descriptor, FileError> {
        open(path, in: directory, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
    }

    /// O_TMPFILE and AT_EMPTY_PATH, which Swift does not import: the numbers are the same on all machines that it runs on.
    static let unnamed = 0o20000000 | O_DIRECTORY
    private static let emptyPath: Int32 = 0x1000

    /// Gives an open file that was opened as ``unnamed`` a name in `directory`, unless that is taken (EEXIST).
    func link(as name: [UInt8], in directory: Descriptor) -> FileError? {
        name.withCString { name in
            // From Linux 6.10 on for a file of one's own; before, for root.
            if linkat(number, "", directory.number, name, Self.emptyPath) == 0 { return nil }
            guard errno == ENOENT else { return FileError(errno: errno) }
            let result = linkat(AT_FDCWD, "/proc/self/fd/\(number)", directory.number, name, AT_SYMLINK_FOLLOW)
            return result == 0 ? nil : FileError(errno: errno)
        }
    }

    func status() -> Result<FileStatus, FileError> {
        var status = stat()
        return fstat(number, &status) == 0 ? .success(FileStatus(status)) : .failure(FileError(errno: errno))
    }

    /// The status of `name` in this folder; of a symlink itself, not of what it points to.
    func status(of name: [UInt8]) -> Result<FileStatus, FileError> {
        var status = stat()
        let result = name.withCString { fstatat(number, $0, &status, AT_SYMLINK_NOFOLLOW) }
        return result == 0 ? .success(FileStatus(status)) : .failure(FileError(errno: errno))
    }

    /// Removes `name` from this folder; a failure leaves it there.
    func remove(_ name: [UInt8]) {
        _ = name.withCString { unlinkat(number, $0, 0) }
    }

    /// Makes durable what was written, where the file system can.
    func synchronize() -> Result<Void, FileError> {
        while fsync(number) != 0 {
            if errno == EINTR { continue }
            let error = FileError(errno: errno)
            return error.isUnsupported ? .success(()) : .failure(error)
        }
        return .success(())
    }

    enum Lock: Equatable {
        case taken
        /// Another process or descriptor holds it.
        case busy
        /// The file system has none.
        case unsupported
    }

    func lock() -> Lock {
        while flock(number, LOCK_EX | LOCK_NB) != 0 {
            if errno == EINTR { continue }
            return errno == EWOULDBLOCK ? .busy : .unsupported
        }
        return .taken
    }

    /// Gives the lock back before the descriptor is closed, which may be later than its last use.
    func unlock() { flock(number, LOCK_UN) }

    /// The bytes of the path under which the file lies now; `nil` when it lies nowhere any more.
    var currentPath: [UInt8]? {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink("/proc/self/fd/\(number)", &buffer, buffer.count)
        guard count > 0, count < buffer.count, case .success(let status) = status(), status.links > 0 else {
            return nil
        }
        return buffer.prefix(count).map(UInt8.init(bitPattern:))
    }
}

extension FileError {
    /// The file system does not know the call, or not for this kind of file: shares before Linux 4.17 can't fsync a
    /// folder (EINVAL), others have no locks (ENOLCK), and FUSE answers whatever its author thought of.
    var isUnsupported: Bool {
        [EINVAL, ENOSYS, EOPNOTSUPP, ENOTTY, EBADF, EISDIR, ENOLCK, EROFS, EACCES, EPERM].contains(errno)
    }

    /// The file system does not take the name as it is: a character, or the length.
    var isRefusedName: Bool { [EINVAL, EILSEQ, ENAMETOOLONG].contains(errno) }
}

extension [UInt8] {
    /// Calls `body` with the bytes and a terminating zero; bytes behind a zero inside are cut off.
    func withCString<Result>(_ body: (UnsafePointer<CChar>) -> Result) -> Result {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: count + 1) { buffer in
            for index in indices { buffer.initializeElement(at: index, to: CChar(bitPattern: self[index])) }
            buffer.initializeElement(at: count, to: 0)
            // Not nil: the buffer holds at least the zero.
            return UnsafePointer(buffer.baseAddress).map(body) ?? body("")
        }
    }
}
