internal import CQUICShim
internal import Glibc
internal import QUIC

/// The folder that files are received into. Everything below it is opened relative to its descriptor, and never
/// through a symlink, so no name can lead out of it.
public final class ReceiveFolder: Sendable {
    let descriptor: Descriptor

    /// Opens the folder `path`, making it (not its parents) when it is missing.
    ///
    /// - Throws: ``TransferError`` `.fileAccess`.
    public init(path: [UInt8]) throws(TransferError) {
        let shown = String(decoding: path, as: UTF8.self)
        _ = path.withCString { mkdir($0, 0o700) }
        // The user named this one: here a symlink is followed.
        switch Descriptor.open(path, in: nil, flags: O_RDONLY | O_DIRECTORY) {
        case .success(let descriptor): self.descriptor = descriptor
        case .failure(let error):
            throw TransferError(.fileAccess, "\(shown.isEmpty ? "\"\"" : shown): \(error)", underlying: error)
        }
    }

    public convenience init(path: String) throws(TransferError) {
        try self.init(path: Array(path.utf8))
    }

    /// The folder at `path` below this one; `nil` when it is missing and not to be made.
    ///
    /// - Throws: `.badName` when something else has the name of a folder on the way.
    func directory(_ path: ArraySlice<String>, create: Bool) throws(TransferError) -> Descriptor? {
        var folder = descriptor
        for component in path {
            let name = Array(component.utf8)
            var result = Descriptor.openDirectory(name, in: folder)
            if case .failure(let error) = result, error.errno == ENOENT {
                guard create else { return nil }
                let made = name.withCString { mkdirat(folder.number, $0, 0o700) }
                if made == 0, case .failure(let error) = folder.synchronize() { throw .writing(component, error) }
                if made != 0, errno != EEXIST { throw .writing(component, FileError(errno: errno)) }
                result = Descriptor.openDirectory(name, in: folder)
            }
            switch result {
            case .success(let opened): folder = opened
            case .failure(let error) where error.errno == ENOTDIR || error.errno == ELOOP:
                throw TransferError(
                    .badName, "\(path.joined(separator: "/")): \(component) exists and is not a folder here")
            case .failure(let error): throw .writing(component, error)
            }
        }
        return folder
    }

    /// Bytes that may still be written; `nil` where the file system does not say.
    func freeBytes() -> UInt64? {
        var status = statvfs()
        guard fstatvfs(descriptor.number, &status) == 0, status.f_blocks > 0 else { return nil }
        let (bytes, overflow) = UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize))
        return overflow ? nil : bytes
    }
}

extension WrittenFile.Partial {
    enum Opened {
        case partial(WrittenFile.Partial, FileStatus)
        /// Another transfer writes it.
        case busy
        case missing
    }

    /// Opens and locks the partial file `name`; makes it when `create`.
    ///
    /// - Throws: `.badName` when something else has that name, `.fileAccess`.
    static func open(_ name: String, in directory: Descriptor, create: Bool) throws(TransferError) -> Opened {
        let bytes = Array(name.utf8)
        // Without O_NONBLOCK, opening a pipe of that name would hang.
        let flags = O_RDWR | O_NOFOLLOW | O_NONBLOCK | (create ? O_CREAT : 0)
        for _ in 0..<16 {
            let descriptor: Descriptor
            switch Descriptor.open(bytes, in: directory, flags: flags, mode: 0o600) {
            case .success(let opened): descriptor = opened
            case .failure(let error) where error.errno == ENOENT && !create: return .missing
            case .failure(let error) where error.errno == ELOOP || error.errno == EISDIR || error.errno == ENXIO:
                throw TransferError(.badName, "\(name): exists and is not a file")
            case .failure(let error): throw .writing(name, error)
            }
            guard descriptor.lock() else { return .busy }
            guard case .success(let status) = descriptor.status() else { continue }
            guard status.kind == .file, status.owner == geteuid() else {
                throw TransferError(.badName, "\(name): exists and is not a partial file of ours")
            }
            guard status.links <= 1 else {
                // A second name is another's file, or ours that was cut off between linking and unlinking: this name
                // goes, the bytes stay.
                directory.remove(bytes)
                continue
            }
            // Whoever held the lock before may have renamed the file: then it is finished, and not ours to write.
            guard case .success(let named) = directory.status(of: bytes), named.inode == status.inode else { continue }
            return .partial(Self(descriptor: descriptor, directory: directory, name: name), status)
        }
        return .busy
    }

    /// Makes the file durable under the first free of `name`, `name (1)` and so on.
    ///
    /// - Returns: that name.
    func store(as name: String, entry: TransferEntry) throws(TransferError) -> String {
        if entry.isExecutable { fchmod(descriptor.number, 0o700) }
        if let modified = entry.modified {
            let seconds = modified >= 0 ? modified / 1_000_000_000 : (modified + 1) / 1_000_000_000 - 1
            let time = timespec(tv_sec: Int(seconds), tv_nsec: Int(modified - seconds * 1_000_000_000))
            futimens(descriptor.number, [time, time])
        }
        if case .failure(let error) = descriptor.synchronize() { throw .writing(name, error) }
        for number in 0..<TransferLimits.numberedNames {
            let candidate = TransferName.numbered(name, number)
            let result = Array(self.name.utf8).withCString { from in
                Array(candidate.utf8).withCString { dep2p_rename_noreplace(directory.number, from, $0) }
            }
            if result == 0 { return candidate }
            if result != EEXIST { throw .writing(name, FileError(errno: result)) }
        }
        throw TransferError(.badName, "\(name): \(TransferLimits.numberedNames) files of that name exist")
    }
}
