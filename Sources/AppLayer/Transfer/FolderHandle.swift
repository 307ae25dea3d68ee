internal import DeP2PQUIC
internal import Glibc
internal import Synchronization

/// An open folder that files are received into. Everything below it is opened relative to its descriptor, and never
/// through a symlink, so no name can lead out of it.
final class FolderHandle: Sendable {
    /// A folder below, and the components under which it really lies.
    struct Place: Sendable {
        let descriptor: Descriptor
        let path: [String]
    }

    let descriptor: Descriptor
    private let path: [UInt8]
    /// When what lies around was last looked through, in seconds since 1970.
    let lastSweep = Atomic<Int64>(0)

    init(_ descriptor: Descriptor, path: [UInt8]) {
        self.descriptor = descriptor
        self.path = path
    }

    /// Whether the folder's path still leads here.
    var isAtItsPath: Bool {
        var named = stat()
        guard path.withCString({ stat($0, &named) }) == 0, case .success(let own) = descriptor.status() else {
            return false
        }
        let status = FileStatus(named)
        return (status.device, status.inode) == (own.device, own.inode)
    }

    /// The path to put before names in this folder: as it was given, or the one that the folder has now when it was
    /// renamed meanwhile. Looked up once for many files.
    var base: [UInt8] { isAtItsPath ? path : descriptor.currentPath ?? path }

    /// Where a file stored under `components` lies, as bytes of a path below `base`.
    static func location(of components: [String], below base: [UInt8]) -> [UInt8] {
        var path = base
        for component in components {
            if !path.isEmpty, path.last != UInt8(ascii: "/") { path.append(UInt8(ascii: "/")) }
            path += component.utf8
        }
        return path
    }

    /// The folder at `path` below this one; `nil` when it is missing and not to be made.
    ///
    /// - Throws: `.badName` when something else has the name of a folder on the way.
    func directory(_ path: ArraySlice<String>, create: Bool) throws(TransferError) -> Place? {
        var place = Place(descriptor: descriptor, path: [])
        for component in path {
            guard let next = try Self.enter(component, of: place, create: create) else { return nil }
            place = next
        }
        return place
    }

    /// The folder at `path` below this one, which is made when it is missing.
    func made(_ path: ArraySlice<String>) throws(TransferError) -> Place {
        guard let place = try directory(path, create: true) else {
            throw TransferError(.fileAccess, "\(path.joined(separator: "/")): cannot be made")
        }
        return place
    }

    private static func enter(
        _ component: String, of parent: Place, create: Bool
    ) throws(TransferError) -> Place? {
        let portable = TransferName.portable(component)
        for name in component == portable ? [component] : [component, portable] {
            let bytes = Array(name.utf8)
            var result = Descriptor.openDirectory(bytes, in: parent.descriptor)
            if case .failure(let error) = result, error.errno == ENOENT {
                guard create else { return nil }
                if let error = make(bytes, in: parent.descriptor) {
                    result = .failure(error)
                } else {
                    result = Descriptor.openDirectory(bytes, in: parent.descriptor)
                }
            }
            switch result {
            case .success(let opened): return Place(descriptor: opened, path: parent.path + [name])
            case .failure(let error) where error.isRefusedName && name != portable: continue
            case .failure(let error) where error.errno == ENOTDIR || error.errno == ELOOP:
                throw TransferError(
                    .badName, "\((parent.path + [name]).joined(separator: "/")) exists and is not a folder here")
            case .failure(let error): throw .writing(component, error)
            }
        }
        return nil
    }

    private static func make(_ name: [UInt8], in parent: Descriptor) -> FileError? {
        if name.withCString({ mkdirat(parent.number, $0, 0o700) }) != 0 {
            return errno == EEXIST ? nil : FileError(errno: errno)
        }
        if case .failure(let error) = parent.synchronize() { return error }
        return nil
    }

    /// The room on the folder's file system; `nil` where it does not say.
    func room() -> FileSystemRoom? { FileSystemRoom(of: descriptor) }

    /// Who owns what this process makes here: on a share or a FAT disk that is whom its mount options name.
    func creationOwner() -> UInt32? { probe { _ in }?.owner }

    /// Whether a file takes no room for what it has not been given: FAT writes the zeros.
    func keepsHoles() -> Bool {
        let length: UInt64 = 256 * 1024
        guard let status = probe({ _ = ftruncate($0.number, off_t(length)) }) else { return false }
        return status.size == length && status.allocated < length
    }

    /// The status of a file that is made here for a moment, once `change` has been done to it.
    private func probe(_ change: (Descriptor) -> Void) -> FileStatus? {
        let name = Array("\(TransferName.resumePrefix)\(TransferName.randomTag())".utf8)
        guard
            case .success(let probe) = Descriptor.open(
                name, in: descriptor, flags: O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
        else { return nil }
        defer { descriptor.remove(name) }
        change(probe)
        guard case .success(let status) = probe.status() else { return nil }
        return status
    }
}
