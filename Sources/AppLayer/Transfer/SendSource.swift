internal import Glibc
internal import QUIC

/// What is to be sent: files and folders, found and checked beforehand, or one stream.
///
/// Folders are walked without following symlinks, so a walk neither loops nor leaves them. Hidden files belong to a
/// folder like any other.
public struct SendSource: Sendable {
    /// Where an entry's bytes come from.
    enum Origin: Sendable {
        /// A file named directly.
        case path([UInt8])
        /// A file in a folder: the folder's descriptor and the components below it.
        case member(Descriptor, [String])
        /// Bytes as they come: standard input.
        case stream(Int32)
        /// A folder: nothing to read.
        case none
    }

    public let offer: TransferOffer
    /// What lies in the folders and is not sent: symlinks, devices, pipes, sockets, names that cannot be used.
    public let skipped: [SkippedFile]
    let origins: [Origin]

    /// Finds the files and folders `paths` (as the user wrote them).
    ///
    /// Reads folders: call it away from the network thread.
    /// - Throws: ``TransferError`` `.notFound`, `.fileAccess`, `.notAFile` for a symlink or device that is named
    ///   directly, `.badName`, `.badOffer` beyond a limit.
    public init(paths: [[UInt8]]) throws(TransferError) {
        var walk = SourceWalk()
        for path in paths { try walk.add(path) }
        guard !walk.entries.isEmpty else { throw TransferError(.badOffer, "nothing to send") }
        offer = try TransferOffer(entries: walk.entries)
        origins = walk.origins
        skipped = walk.skipped
    }

    public init(paths: [String]) throws(TransferError) {
        try self.init(paths: paths.map { Array($0.utf8) })
    }

    /// Sends what `descriptor` yields until its end, under `name`. The descriptor stays the caller's.
    public init(stream descriptor: Int32, name: String = "stdin") throws(TransferError) {
        let entry = TransferEntry(kind: .stream, path: try TransferName.checked(path: [name]), size: nil)
        offer = try TransferOffer(entries: [entry])
        origins = [.stream(descriptor)]
        skipped = []
    }
}

/// Collects the entries of a ``SendSource``.
private struct SourceWalk {
    var entries: [TransferEntry] = []
    var origins: [SendSource.Origin] = []
    var skipped: [SkippedFile] = []
    /// Names of what was named directly. Strings are equal when canonically equivalent, as the receiver sees them.
    private var topNames: Set<String> = []

    mutating func add(_ argument: [UInt8]) throws(TransferError) {
        let path = Self.withoutTrailingSlashes(argument)
        let shown = String(decoding: path, as: UTF8.self)
        var status = stat()
        guard !path.contains(0), !path.isEmpty, path.withCString({ lstat($0, &status) }) == 0 else {
            let missing = path.contains(0) || path.isEmpty || errno == ENOENT || errno == ENOTDIR
            let reason = missing ? "no such file or folder" : FileError(errno: errno).description
            throw TransferError(missing ? .notFound : .fileAccess, "\(shown): \(reason)")
        }
        let name = try Self.baseName(of: path, shown: shown)
        guard topNames.insert(name).inserted else {
            throw TransferError(.badName, "\(shown): another file or folder of that name is being sent")
        }
        let found = FileStatus(status)
        switch found.kind {
        case .file:
            guard path.withCString({ faccessat(AT_FDCWD, $0, R_OK, AT_EACCESS) }) == 0 else {
                throw TransferError(.fileAccess, "\(shown): \(FileError(errno: errno))")
            }
            append(found, path: [name], origin: .path(path))
        case .directory:
            let folder: Descriptor
            switch Descriptor.openDirectory(path, in: nil) {
            case .success(let opened): folder = opened
            case .failure(let error): throw TransferError(.fileAccess, "\(shown): \(error)", underlying: error)
            }
            try walk(folder, name: name, shown: shown)
        case .symlink, .device, .pipe, .socket:
            throw TransferError(.notAFile, "\(shown) is \(Self.describe(found.kind)), not a file or folder")
        }
    }

    private mutating func walk(_ root: Descriptor, name: String, shown: String) throws(TransferError) {
        var pending: [[String]] = [[]]
        while let below = pending.popLast() {
            let place = ([shown] + below).joined(separator: "/")
            let folder = try Self.open(below, in: root, shown: place)
            appendFolder([name] + below)
            var subfolders: [[String]] = []
            var seen: Set<String> = []
            for bytes in try Self.names(in: folder, shown: place) {
                let shownFile = place + "/" + String(decoding: bytes, as: UTF8.self)
                guard let member = usable(bytes, in: [name] + below, shown: shownFile, seen: &seen) else { continue }
                guard case .success(let status) = folder.status(of: bytes) else { continue }  // removed meanwhile
                switch status.kind {
                case .directory: subfolders.append(below + [member])
                case .file:
                    guard bytes.withCString({ faccessat(folder.number, $0, R_OK, AT_EACCESS) }) == 0 else {
                        throw TransferError(.fileAccess, "\(shownFile): \(FileError(errno: errno))")
                    }
                    append(status, path: [name] + below + [member], origin: .member(root, below + [member]))
                case .symlink, .device, .pipe, .socket:
                    skipped.append(SkippedFile(path: shownFile, reason: Self.describe(status.kind)))
                }
            }
            guard entries.count <= TransferLimits.entries else {
                throw TransferError(
                    .badOffer, "\(shown): more than \(TransferLimits.entries) files and folders in one transfer")
            }
            pending += subfolders.reversed()
        }
    }

    /// The member's name, or `nil` after it was put among the skipped.
    private mutating func usable(_ bytes: [UInt8], in folder: [String], shown: String, seen: inout Set<String>)
        -> String?
    {
        guard let member = String(validating: bytes, as: UTF8.self) else {
            skipped.append(SkippedFile(path: shown, reason: "its name is not UTF-8"))
            return nil
        }
        do throws(TransferError) {
            _ = try TransferName.checked(path: folder + [member])
            if seen.insert(member).inserted { return member }
            skipped.append(SkippedFile(path: shown, reason: "another name beside it differs in its encoding only"))
            return nil
        } catch {
            skipped.append(SkippedFile(path: shown, reason: error.message))
            return nil
        }
    }

    private mutating func append(_ status: FileStatus, path: [String], origin: SendSource.Origin) {
        entries.append(
            TransferEntry(
                kind: .file, path: path, size: status.size, isExecutable: status.isExecutable,
                modified: status.modified))
        origins.append(origin)
    }

    private mutating func appendFolder(_ path: [String]) {
        entries.append(TransferEntry(kind: .directory, path: path, size: 0))
        origins.append(.none)
    }

    // MARK: Reading folders

    private static func open(_ below: [String], in root: Descriptor, shown: String) throws(TransferError) -> Descriptor
    {
        // A new descriptor even of the root itself: reading a folder moves its position.
        var folder = root
        for component in ["."] + below {
            switch Descriptor.openDirectory(Array(component.utf8), in: folder) {
            case .success(let opened): folder = opened
            case .failure(let error): throw TransferError(.fileAccess, "\(shown): \(error)", underlying: error)
            }
        }
        return folder
    }

    /// The names in a folder, sorted, so that the same folder makes the same offer.
    private static func names(in folder: Descriptor, shown: String) throws(TransferError) -> [[UInt8]] {
        guard let listing = fdopendir(dup(folder.number)) else {
            throw TransferError(.fileAccess, "\(shown): \(FileError(errno: errno))")
        }
        defer { closedir(listing) }
        var names: [[UInt8]] = []
        errno = 0
        while let entry = readdir(listing) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
            if name != [0x2e] && name != [0x2e, 0x2e] { names.append(name) }
            errno = 0
        }
        guard errno == 0 else { throw TransferError(.fileAccess, "\(shown): \(FileError(errno: errno))") }
        return names.sorted { $0.lexicographicallyPrecedes($1) }
    }

    private static func withoutTrailingSlashes(_ path: [UInt8]) -> [UInt8] {
        var path = path
        while path.count > 1, path.last == UInt8(ascii: "/") { path.removeLast() }
        return path
    }

    /// The last component; of `.`, `..` and the like, the name that the folder really has.
    private static func baseName(of path: [UInt8], shown: String) throws(TransferError) -> String {
        var last = Array(path.split(separator: UInt8(ascii: "/")).last ?? [])
        if last.isEmpty || last == [0x2e] || last == [0x2e, 0x2e] {
            let real = path.withCString { path -> String? in
                guard let real = realpath(path, nil) else { return nil }
                defer { free(real) }
                return String(validatingCString: real)
            }
            last = Array((real ?? "").utf8.split(separator: UInt8(ascii: "/")).last ?? [])
        }
        guard let name = String(validating: last, as: UTF8.self), !name.isEmpty else {
            throw TransferError(.badName, "\(shown): its name is \(last.isEmpty ? "empty" : "not UTF-8")")
        }
        _ = try TransferName.checked(path: [name])
        return name
    }

    private static func describe(_ kind: FileStatus.Kind) -> String {
        switch kind {
        case .file: "a file"
        case .directory: "a folder"
        case .symlink: "a symlink"
        case .device: "a device"
        case .pipe: "a named pipe"
        case .socket: "a socket"
        }
    }
}
