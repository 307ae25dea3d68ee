internal import DeP2PQUIC
internal import Glibc

/// Collects the entries of a ``SendSource``: ``add(_:)`` for each path that was named.
///
/// What can't be sent is noted, and the walk goes on: one file that nobody may read is no reason to keep the others.
struct SourceWalk {
    private(set) var entries = TransferEntries()
    private(set) var origins: [SendSource.Origin] = []
    private(set) var tops: [SendSource.Top] = []
    private(set) var skipped: [SkippedFile] = []
    private(set) var unsent: [UnsentFile] = []
    /// Names of what was named directly. Strings are equal when canonically equivalent, as the receiver sees them.
    private var topNames: Set<String> = []
    private var sizes = UnknownSizes()

    /// A folder while it is walked.
    private struct Folder {
        let descriptor: Descriptor
        /// Components on the wire, that of what was named first.
        let path: [String]
        /// UTF-8 bytes of `path`, with a slash behind each.
        let pathBytes: Int
        let shown: [UInt8]

        func shown(_ name: [UInt8]) -> [UInt8] { shown + [UInt8(ascii: "/")] + name }
    }

    /// - Throws: `.badOffer` beyond a limit of the whole transfer.
    mutating func add(_ argument: [UInt8]) throws(TransferError) {
        let path = Self.withoutTrailingSlashes(argument)
        do throws(TransferError) {
            let status = try Self.status(of: path)
            switch status.kind {
            case .file: try add(file: status, path)
            case .directory: try add(folder: status, path)
            case .symlink, .device, .pipe, .socket:
                let message = "\(Self.text(path)) is \(Self.describe(status.kind)), not a file or folder"
                throw TransferError(.notAFile, message)
            }
        } catch {
            if error.code == .badOffer { throw error }
            unsent.append(UnsentFile(path: argument, error: error))
        }
    }

    // MARK: What is named

    private static func status(of path: [UInt8]) throws(TransferError) -> FileStatus {
        var status = stat()
        guard !path.contains(0), !path.isEmpty, path.withCString({ lstat($0, &status) }) == 0 else {
            let missing = path.contains(0) || path.isEmpty || errno == ENOENT || errno == ENOTDIR
            let reason = missing ? "no such file or folder" : FileError(errno: errno).description
            throw TransferError(missing ? .notFound : .fileAccess, "\(text(path)): \(reason)")
        }
        return FileStatus(status)
    }

    private mutating func add(file status: FileStatus, _ path: [UInt8]) throws(TransferError) {
        let name = try Self.baseName(of: path)
        guard path.withCString({ faccessat(AT_FDCWD, $0, R_OK, AT_EACCESS) }) == 0 else {
            throw TransferError(.fileAccess, "\(Self.text(path)): \(FileError(errno: errno))")
        }
        try take(name, of: path)
        tops.append(.init(path: path, folder: nil))
        try append(status, [name], in: nil, name: path, shown: path)
    }

    private mutating func add(folder status: FileStatus, _ path: [UInt8]) throws(TransferError) {
        let name = try Self.baseName(of: path)
        let opened = Descriptor.openDirectory(path, in: nil)
        guard case .success(let descriptor) = opened, case .success(let own) = descriptor.status() else {
            throw Self.failed(opened, path)
        }
        try take(name, of: path)
        tops.append(.init(path: path, folder: own))
        try walk(Folder(descriptor: descriptor, path: [name], pathBytes: name.utf8.count + 1, shown: path))
    }

    private mutating func take(_ name: String, of path: [UInt8]) throws(TransferError) {
        guard topNames.insert(name).inserted else {
            let message = "\(Self.text(path)): another file or folder of that name is being sent"
            throw TransferError(.badName, message)
        }
    }

    // MARK: Folders

    private mutating func walk(_ root: Folder) throws(TransferError) {
        var pending: [(path: [String], pathBytes: Int, shown: [UInt8])] = []
        var next: Folder? = root
        while let folder = next {
            try append(TransferEntry(kind: .directory, path: folder.path, size: 0), .none)
            let subfolders = try members(of: folder)
            for name in subfolders.reversed() {
                let bytes = folder.pathBytes + name.utf8.count + 1
                pending.append((folder.path + [name], bytes, folder.shown(Array(name.utf8))))
            }
            next = nil
            while next == nil, let (path, pathBytes, shown) = pending.popLast() {
                switch Self.open(path.dropFirst(), in: root.descriptor) {
                case .success(let descriptor):
                    next = Folder(descriptor: descriptor, path: path, pathBytes: pathBytes, shown: shown)
                case .failure(let error): note(shown, error)
                }
            }
        }
    }

    /// Appends the files in a folder.
    ///
    /// - Returns: the folders in it.
    private mutating func members(of folder: Folder) throws(TransferError) -> [String] {
        let names: [[UInt8]]
        switch Self.names(in: folder.descriptor) {
        case .success(let found): names = found
        case .failure(let error):
            note(folder.shown, error)
            return []
        }
        var subfolders: [String] = []
        var normal = NormalNames()
        for bytes in names {
            let status: FileStatus
            switch folder.descriptor.status(of: bytes) {
            case .success(let found): status = found
            case .failure(let error):
                if error.errno != ENOENT { note(folder.shown(bytes), error) }  // removed meanwhile: not there
                continue
            }
            guard status.kind == .file || status.kind == .directory else {
                let shown = Self.text(folder.shown(bytes))
                skipped.append(SkippedFile(path: shown, reason: Self.describe(status.kind)))
                continue
            }
            guard let name = usable(bytes, in: folder, &normal) else { continue }
            if status.kind == .directory {
                subfolders.append(name)
            } else {
                do throws(TransferError) {
                    let shown = { folder.shown(bytes) }
                    try append(status, folder.path + [name], in: folder.descriptor, name: bytes, shown: shown())
                } catch {
                    if error.code == .badOffer { throw error }
                    unsent.append(UnsentFile(path: folder.shown(bytes), error: error))
                }
            }
        }
        return subfolders
    }

    /// Names of one folder that differ in more than their encoding.
    private struct NormalNames {
        private var unusual: Set<String> = []

        /// Plain ASCII is normal, and differs when its bytes do.
        mutating func insert(_ name: String, isPlain: Bool) -> Bool { isPlain || unusual.insert(name).inserted }
    }

    /// The member's name on the wire; `nil` after it was noted as unsent.
    private mutating func usable(_ bytes: [UInt8], in folder: Folder, _ normal: inout NormalNames) -> String? {
        do throws(TransferError) {
            guard let name = String(validating: bytes, as: UTF8.self) else { throw Self.notText(folder.shown(bytes)) }
            let isPlain = bytes.first != UInt8(ascii: ".") && bytes.allSatisfy { (0x20...0x7e).contains($0) }
            let fits =
                folder.path.count < TransferLimits.depth
                && folder.pathBytes + bytes.count < TransferLimits.pathBytes
            if !isPlain || !fits { _ = try TransferName.checked(path: folder.path + [name]) }
            guard normal.insert(name, isPlain: isPlain) else {
                let message = "another name beside it differs in its encoding only"
                throw TransferError(.badName, "\(Self.text(folder.shown(bytes))): \(message)")
            }
            return name
        } catch {
            unsent.append(UnsentFile(path: folder.shown(bytes), error: error))
            return nil
        }
    }

    // MARK: Entries

    /// - Throws: for a file whose size must be found by reading it, what reading failed with.
    private mutating func append(
        _ status: FileStatus, _ path: [String], in folder: Descriptor?, name: [UInt8],
        shown: @autoclosure () -> [UInt8]
    ) throws(TransferError) {
        var (kind, size) = (TransferEntry.Kind.file, Optional(status.size))
        var origin = SendSource.Origin.below(tops.count - 1)
        if sizes.isDoubtful(status, name, in: folder) {
            switch try sizes.read(name, in: folder, shown: Self.text(shown())) {
            case .bytes(let bytes): (size, origin) = (UInt64(bytes.count), .bytes(bytes))
            case .stream: (kind, size) = (.stream, nil)
            }
        }
        let entry = TransferEntry(
            kind: kind, path: path, size: size, isExecutable: status.isExecutable, modified: status.modified,
            dataSize: kind == .file ? Self.dataSize(of: status, name, in: folder) : nil)
        try append(entry, origin)
    }

    /// Bytes of a file that are not in holes; `nil` when it has none.
    private static func dataSize(of status: FileStatus, _ name: [UInt8], in folder: Descriptor?) -> UInt64? {
        guard status.mayHaveHoles,
            case .success(let file) = Descriptor.open(name, in: folder, flags: O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
        else { return nil }
        var extents = FileExtents(of: file)
        let data = extents.dataSize(of: status.size)
        return data < status.size ? data : nil
    }

    private mutating func append(_ entry: TransferEntry, _ origin: SendSource.Origin) throws(TransferError) {
        guard entries.count < TransferLimits.entries else {
            let message = "more than \(TransferLimits.entries) files and folders in one transfer"
            throw TransferError(.badOffer, message)
        }
        entries.append(entry)
        origins.append(origin)
    }

    private mutating func note(_ path: [UInt8], _ error: FileError) {
        unsent.append(UnsentFile(path: path, error: Self.failed(error, path)))
    }
}

// MARK: Reading folders

extension SourceWalk {
    fileprivate static func open(
        _ path: ArraySlice<String>, in root: Descriptor
    ) -> Result<Descriptor, FileError> {
        var folder = Result<Descriptor, FileError>.success(root)
        for component in path { folder = folder.flatMap { Descriptor.openDirectory(Array(component.utf8), in: $0) } }
        return folder
    }

    /// The names in a folder, sorted, so that the same folder makes the same offer.
    fileprivate static func names(in folder: Descriptor) -> Result<[[UInt8]], FileError> {
        guard let listing = fdopendir(fcntl(folder.number, F_DUPFD_CLOEXEC, 0)) else {
            return .failure(FileError(errno: errno))
        }
        defer { closedir(listing) }
        var names: [[UInt8]] = []
        errno = 0
        while let entry = readdir(listing) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
            if name != [0x2e] && name != [0x2e, 0x2e] { names.append(name) }
            errno = 0
        }
        guard errno == 0 else { return .failure(FileError(errno: errno)) }
        return .success(names.sorted { $0.lexicographicallyPrecedes($1) })
    }

    fileprivate static func withoutTrailingSlashes(_ path: [UInt8]) -> [UInt8] {
        var path = path
        while path.count > 1, path.last == UInt8(ascii: "/") { path.removeLast() }
        return path
    }

    /// The last component; of `.`, `..` and the like, the name that the folder really has.
    fileprivate static func baseName(of path: [UInt8]) throws(TransferError) -> String {
        var last = Array(path.split(separator: UInt8(ascii: "/")).last ?? [])
        if last.isEmpty || last == [0x2e] || last == [0x2e, 0x2e] {
            let real = path.withCString { path -> String? in
                guard let real = realpath(path, nil) else { return nil }
                defer { free(real) }
                return String(validatingCString: real)
            }
            last = Array((real ?? "").utf8.split(separator: UInt8(ascii: "/")).last ?? [])
        }
        guard let name = String(validating: last, as: UTF8.self) else { throw notText(path) }
        guard !name.isEmpty else { throw TransferError(.badName, "\(text(path)): its name is empty") }
        _ = try TransferName.checked(path: [name])
        return name
    }

    fileprivate static func text(_ path: [UInt8]) -> String { String(decoding: path, as: UTF8.self) }

    fileprivate static func notText(_ path: [UInt8]) -> TransferError {
        TransferError(.badName, "\(text(path)): its name is not UTF-8")
    }

    fileprivate static func failed(_ error: FileError, _ path: [UInt8]) -> TransferError {
        TransferError(.fileAccess, "\(text(path)): \(error)", underlying: error)
    }

    fileprivate static func failed(_ opened: Result<Descriptor, FileError>, _ path: [UInt8]) -> TransferError {
        guard case .failure(let error) = opened else {
            return TransferError(.fileAccess, "\(text(path)): it cannot be looked at")
        }
        return failed(error, path)
    }

    fileprivate static func describe(_ kind: FileStatus.Kind) -> String {
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
