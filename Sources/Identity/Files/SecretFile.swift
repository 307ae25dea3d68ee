internal import CDeP2PSystem
internal import Glibc

/// Files that hold a secret: how they are made, and which are refused.
///
/// Paths are bytes as the kernel takes them, without a zero byte; they need not be UTF-8.
enum SecretFile {
    /// The largest key file read, in bytes.
    static let maximumLength = 16 * 1024

    private static let closedMode: mode_t = 0o600
    private static let closedDirectoryMode: mode_t = 0o700

    /// The contents of a regular file that nobody else can read. The caller wipes them.
    ///
    /// A symbolic link is followed: whoever may make one here may also replace the file, and secrets that a service or
    /// container manager mounts are links. What counts is the file at its end.
    ///
    /// - Parameter what: names the file in errors, as in “identity file”.
    static func read(_ path: [UInt8], what: String) throws(IdentityError) -> [UInt8] {
        let name = "\(what) \(shown(path))"
        guard !path.contains(0) else { throw IdentityError(.fileMissing, "\(name) is not the name of a file") }
        // O_NONBLOCK: opening a FIFO must not wait for a writer.
        let descriptor = open(terminated(path), O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw openError(errno, name) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw systemError("can't examine \(name)", errno) }
        try check(status, descriptor, name, path)
        return try contents(of: descriptor, name)
    }

    private static func check(
        _ status: stat, _ descriptor: Int32, _ name: String, _ path: [UInt8]
    ) throws(IdentityError) {
        switch status.st_mode & S_IFMT {
        case S_IFREG: break
        case S_IFDIR: throw IdentityError(.fileIsDirectory, "\(name) is a directory")
        default: throw IdentityError(.fileNotRegular, "\(name) is not a regular file")
        }
        guard !isOpenToOthers(status, descriptor) else {
            throw IdentityError(
                .fileTooOpen, "\(name) can be read by others (mode \(String(status.st_mode & 0o7777, radix: 8)))",
                remedy: .makePrivate(path: shown(path)))
        }
        guard status.st_size > 0 else { throw IdentityError(.fileEmpty, "\(name) is empty") }
        guard status.st_size <= maximumLength else {
            throw IdentityError(.fileCorrupt, "\(name) has \(status.st_size) bytes, too many for a key")
        }
    }

    private static func isOpenToOthers(_ status: stat, _ descriptor: Int32) -> Bool {
        guard status.st_mode & 0o077 != 0 else { return false }
        guard status.st_mode & 0o007 == 0 else { return true }
        var bytes = [UInt8](repeating: 0, count: maximumLength)
        let length = dep2p_access_control_list(descriptor, &bytes, bytes.count)
        guard length > 0, let list = AccessControlList(Array(bytes.prefix(length))) else { return true }
        // A writer could put in another key; no list gives that away by accident.
        return status.st_mode & 0o020 != 0 || list.letsOthersRead(than: geteuid(), owner: status.st_uid)
    }

    private static func contents(of descriptor: Int32, _ name: String) throws(IdentityError) -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: maximumLength + 1)
        defer { wipe(&buffer) }
        var filled = 0
        while filled < buffer.count {
            let count = buffer.withUnsafeMutableBytes {
                Glibc.read(descriptor, $0.baseAddress?.advanced(by: filled), $0.count - filled)
            }
            if count == 0 { break }
            if count < 0 {
                if errno == EINTR { continue }
                throw systemError("can't read \(name)", errno)
            }
            filled += count
        }
        guard filled <= maximumLength else { throw IdentityError(.fileCorrupt, "\(name) is too long for a key") }
        return [UInt8](buffer[..<filled])
    }

    /// Writes a file of mode 0600 that is there whole or not at all, synced to disk with its directory. Missing parent
    /// directories are made with mode 0700.
    ///
    /// - Parameter replace: exchange an existing regular file; otherwise an existing one is an error.
    static func create(
        _ path: [UInt8], contents: [UInt8], replace: Bool, what: String
    ) throws(IdentityError) {
        let name = "\(what) \(shown(path))"
        guard let last = path.last, last != UInt8(ascii: "/"), !path.contains(0) else {
            throw IdentityError(.cannotCreate, "\(name) is not the name of a file")
        }
        let directory = parent(of: path)
        try makeDirectories(directory)
        try checkTarget(path, replace: replace, name)
        let temporary = directory + [UInt8]("/.dep2p-\(Hex.encode(SecureRandom.bytes(8))).tmp".utf8)
        defer { unlink(terminated(temporary)) }
        try write(contents, to: temporary, name)
        try replace ? move(temporary, to: path, name) : moveToNew(temporary, path, name)
        syncDirectory(directory)
    }

    private static func move(_ source: [UInt8], to path: [UInt8], _ name: String) throws(IdentityError) {
        guard rename(terminated(source), terminated(path)) == 0 else { throw createError(errno, name) }
    }

    /// link() fails on an existing name, whatever it is, and never leaves a partial file behind. A file system without
    /// hard links gets the name reserved by O_EXCL first.
    private static func moveToNew(_ source: [UInt8], _ path: [UInt8], _ name: String) throws(IdentityError) {
        if link(terminated(source), terminated(path)) == 0 { return }
        guard errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS else { throw createError(errno, name) }
        try write([], to: path, name)
        try move(source, to: path, name)
    }

    private static func checkTarget(_ path: [UInt8], replace: Bool, _ name: String) throws(IdentityError) {
        var status = stat()
        guard lstat(terminated(path), &status) == 0 else { return }
        guard replace else { throw createError(EEXIST, name) }
        switch status.st_mode & S_IFMT {
        case S_IFREG: return
        case S_IFDIR: throw IdentityError(.fileIsDirectory, "\(name) is a directory")
        case S_IFLNK: throw IdentityError(.fileIsSymbolicLink, "\(name) is a symbolic link")
        default: throw IdentityError(.fileNotRegular, "\(name) is not a regular file")
        }
    }

    private static func write(_ contents: [UInt8], to path: [UInt8], _ name: String) throws(IdentityError) {
        let descriptor = open(terminated(path), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, closedMode)
        guard descriptor >= 0 else { throw createError(errno, name) }
        defer { close(descriptor) }
        // A umask can only have taken bits away; this gives back the owner's.
        guard fchmod(descriptor, closedMode) == 0 else { throw createError(errno, name) }
        var written = 0
        while written < contents.count {
            let count = contents.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress?.advanced(by: written), $0.count - written)
            }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw createError(count == 0 ? EIO : errno, name) }
            written += count
        }
        guard fsync(descriptor) == 0 else { throw createError(errno, name) }
    }

    private static func makeDirectories(_ path: [UInt8]) throws(IdentityError) {
        guard mkdir(terminated(path), closedDirectoryMode) != 0 else { return }
        switch errno {
        case EEXIST: return
        case ENOENT where parent(of: path) != path:
            try makeDirectories(parent(of: path))
            guard mkdir(terminated(path), closedDirectoryMode) == 0 || errno == EEXIST else { fallthrough }
        default:
            throw createError(errno, "directory \(shown(path))")
        }
    }

    /// A new name survives a power cut only when its directory is synced; a failure here loses nothing else.
    private static func syncDirectory(_ path: [UInt8]) {
        let descriptor = open(terminated(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        fsync(descriptor)
        close(descriptor)
    }

    private static func parent(of path: [UInt8]) -> [UInt8] {
        let slash = UInt8(ascii: "/")
        guard let cut = path.lastIndex(of: slash) else { return [UInt8(ascii: ".")] }
        let end = path[..<cut].lastIndex { $0 != slash }.map { $0 + 1 } ?? 1
        return [UInt8](path[..<end])
    }

    private static func terminated(_ path: [UInt8]) -> [CChar] {
        path.map(CChar.init(bitPattern:)) + [0]
    }

    static func shown(_ path: [UInt8]) -> String {
        String(decoding: path, as: UTF8.self)
    }
}

extension SecretFile {
    private static func openError(_ number: Int32, _ name: String) -> IdentityError {
        switch number {
        case ENOENT, ENOTDIR: IdentityError(.fileMissing, "\(name) does not exist", systemError: number)
        case ELOOP: IdentityError(.fileIsSymbolicLink, "\(name) is a loop of symbolic links", systemError: number)
        case EACCES, EPERM: IdentityError(.fileUnreadable, "no permission to read \(name)", systemError: number)
        default: systemError("can't open \(name)", number)
        }
    }

    private static func createError(_ number: Int32, _ name: String) -> IdentityError {
        number == EEXIST
            ? IdentityError(.fileExists, "\(name) exists already", systemError: number)
            : IdentityError(.cannotCreate, "can't create \(name): \(text(of: number))", systemError: number)
    }

    private static func systemError(_ what: String, _ number: Int32) -> IdentityError {
        IdentityError(.systemCall, "\(what): \(text(of: number))", systemError: number)
    }

    private static func text(of number: Int32) -> String {
        strerror(number).map { String(cString: $0) } ?? "error \(number)"
    }
}
