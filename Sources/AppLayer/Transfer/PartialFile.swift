internal import CDeP2PSystem
internal import DeP2PQUIC
internal import DeP2PReactor
internal import Glibc
internal import Synchronization

/// A partial file that one transfer has open, and nobody else: locked where the file system can, and claimed among the
/// transfers of this process, which needs no file system. A small one has no name until it is whole, where the file
/// system can: nobody else can open it, and nothing is left of it when the transfer ends before.
final class PartialFile: Sendable {
    enum Opened {
        case partial(PartialFile, FileStatus)
        /// Another transfer writes it; of this process, when its pulse is known.
        case busy(TransferPulse?)
        case missing
    }

    let descriptor: Descriptor
    let directory: Descriptor
    /// `nil` when it has none.
    let name: String?
    private let key: PartialClaims.Key?

    private init(_ descriptor: Descriptor, in directory: Descriptor, name: String?, key: PartialClaims.Key?) {
        self.descriptor = descriptor
        self.directory = directory
        self.name = name
        self.key = key
    }

    deinit { if let key { PartialClaims.release(key) } }

    /// An empty file without a name; `nil` where that fails, which the making of one with a name then explains.
    static func unnamed(in directory: Descriptor) -> PartialFile? {
        let flags = O_RDWR | Descriptor.unnamed
        guard case .success(let made) = Descriptor.open([UInt8(ascii: ".")], in: directory, flags: flags, mode: 0o600)
        else { return nil }
        return PartialFile(made, in: directory, name: nil, key: nil)
    }

    /// Opens and locks the partial file `name`; makes it when `create`.
    ///
    /// - Parameters:
    ///   - pulse: that of the transfer that opens it.
    ///   - isOurs: whether a file of this owner may be a partial file of ours.
    /// - Throws: `.badName` when something else has that name, `.fileAccess`.
    static func open(
        _ name: String, in directory: Descriptor, create: Bool, pulse: TransferPulse,
        isOurs: (UInt32) -> Bool = { $0 == geteuid() }
    ) throws(TransferError) -> Opened {
        let bytes = Array(name.utf8)
        for _ in 0..<attempts {
            let descriptor: Descriptor
            let isNew: Bool
            switch openOrMake(bytes, in: directory, create: create) {
            case .success(let opened): (descriptor, isNew) = opened
            case .failure(let error) where error.errno == ENOENT && !create: return .missing
            case .failure(let error) where [ELOOP, EISDIR, ENXIO].contains(error.errno):
                throw TransferError(.badName, "\(name): exists and is not a file")
            case .failure(let error): throw .writing(name, error)
            }
            guard case .success(let status) = descriptor.status() else { continue }
            guard status.kind == .file, isNew || isOurs(status.owner) else {
                throw TransferError(.badName, "\(name): exists and is not a partial file of ours")
            }
            let key = PartialClaims.Key(device: status.device, inode: status.inode)
            if let holder = PartialClaims.claim(key, for: pulse) { return .busy(holder) }
            let partial = PartialFile(descriptor, in: directory, name: name, key: key)
            guard descriptor.lock() != .busy else { return .busy(nil) }
            guard status.links <= 1 else {
                // A second name is another's file, or ours that was cut off between linking and unlinking: this name
                // goes, the bytes stay.
                directory.remove(bytes)
                continue
            }
            // Whoever held the lock before may have renamed the file: then it is finished, and not ours to write.
            guard case .success(let named) = directory.status(of: bytes), named.inode == status.inode else { continue }
            return .partial(partial, status)
        }
        return .busy(nil)
    }

    /// Files that come and go under the name before it counts as in use.
    private static let attempts = 16

    /// The open file, and whether this made it: then it is ours, whoever a mount option says owns it.
    private static func openOrMake(
        _ name: [UInt8], in directory: Descriptor, create: Bool
    ) -> Result<(Descriptor, isNew: Bool), FileError> {
        // Without O_NONBLOCK, opening a pipe of that name would hang.
        let flags = O_RDWR | O_NOFOLLOW | O_NONBLOCK
        let existing = Descriptor.open(name, in: directory, flags: flags)
        guard create, case .failure(let error) = existing, error.errno == ENOENT else {
            return existing.map { ($0, false) }
        }
        let made = Descriptor.open(name, in: directory, flags: flags | O_CREAT | O_EXCL, mode: 0o600)
        if case .failure(let error) = made, error.errno == EEXIST {
            return Descriptor.open(name, in: directory, flags: flags).map { ($0, false) }
        }
        return made.map { ($0, true) }
    }

    /// Removes the name of a file that is given up, if it has one.
    func removeName() {
        if let name { directory.remove(Array(name.utf8)) }
    }

    /// Makes the file durable under the first free of `name`, `name (1)` and so on.
    ///
    /// - Returns: that name, and the file's status.
    func store(as name: String, entry: TransferEntry) throws(TransferError) -> (name: String, status: FileStatus?) {
        if entry.isExecutable { fchmod(descriptor.number, 0o700) }
        if let modified = entry.modified {
            let time = FileTime(nanoseconds: modified).timespec
            futimens(descriptor.number, [time, time])
        }
        if case .failure(let error) = descriptor.synchronize() { throw .writing(name, error) }
        var outcome = giveName(name)
        if case .failure(let error) = outcome {
            guard self.name != nil else { return try storeCopy(as: name, entry: entry) }
            let portable = error.isRefusedName ? TransferName.portable(name) : name
            if portable != name { outcome = giveName(portable) }
        }
        switch outcome {
        // Without a status it is stored all the same: the journal does without its line, and after an interruption it
        // comes again, beside itself.
        case .success(let stored?): return (stored, try? descriptor.status().get())
        case .success(nil):
            throw TransferError(.badName, "\(name): too many files of that name exist")
        case .failure(let error): throw .writing(name, error)
        }
    }

    /// - Returns: the first free of `name`, `name (1)` and so on, which the file has now; `nil` when none is free.
    private func giveName(_ name: String) -> Result<String?, FileError> {
        for attempt in 0..<TransferLimits.numberedNames + TransferLimits.randomNames {
            let candidate = TransferName.numbered(name, Self.number(attempt))
            guard let error = giveExactly(Array(candidate.utf8)) else { return .success(candidate) }
            if error.errno != EEXIST { return .failure(error) }
        }
        return .success(nil)
    }

    /// In order first, then anywhere: whoever takes a name many times must not take it from everybody else.
    private static func number(_ attempt: Int) -> Int {
        attempt < TransferLimits.numberedNames ? attempt : .random(in: TransferLimits.numberedNames..<1_000_000_000)
    }

    private func storeCopy(
        as name: String, entry: TransferEntry
    ) throws(TransferError) -> (name: String, status: FileStatus?) {
        let copy = try namedCopy(for: name)
        do throws(TransferError) {
            return try copy.store(as: name, entry: entry)
        } catch {
            // Nobody else knows of it.
            copy.removeName()
            throw error
        }
    }

    /// The same bytes in a file with a name, for where an open file cannot be given one.
    private func namedCopy(for name: String) throws(TransferError) -> PartialFile {
        let copyName = "." + TransferName.partialMark + TransferName.randomTag()
        guard case .partial(let copy, _) = try Self.open(copyName, in: directory, create: true, pulse: TransferPulse())
        else { throw TransferError(.busy, "\(name): its partial file is in use") }
        let chunk = Chunk(capacity: Int(TransferLimits.unnamedFile))
        do throws(FileError) {
            _ = try chunk.read(from: descriptor.number, at: 0).get()
            try chunk.write(to: copy.descriptor.number, at: 0).get()
        } catch {
            directory.remove(Array(copyName.utf8))
            throw .writing(name, error)
        }
        return copy
    }

    private func giveExactly(_ candidate: [UInt8]) -> FileError? {
        let result: Int32
        if let name {
            result = Array(name.utf8).withCString { from in
                candidate.withCString { dep2p_rename_noreplace(directory.number, from, $0) }
            }
        } else {
            result = descriptor.link(as: candidate, in: directory)?.errno ?? 0
        }
        guard result != 0, result != EEXIST else { return result == 0 ? nil : FileError(errno: result) }
        // A share may have done it and lost the answer.
        if case .success(let own) = descriptor.status(),
            case .success(let named) = directory.status(of: candidate),
            (named.device, named.inode) == (own.device, own.inode)
        {
            return nil
        }
        return FileError(errno: result)
    }
}

/// Which partial files the transfers of this process have open, whatever locks the file system has.
enum PartialClaims {
    struct Key: Hashable, Sendable {
        let device: UInt64
        let inode: UInt64
    }

    private static let claims = Mutex<[Key: TransferPulse]>([:])

    /// `nil` when the claim is had now, otherwise the pulse of who has it.
    static func claim(_ key: Key, for pulse: TransferPulse) -> TransferPulse? {
        claims.withLock { claims in
            if let holder = claims[key] { return holder }
            claims[key] = pulse
            return nil
        }
    }

    static func release(_ key: Key) {
        claims.withLock { $0[key] = nil }
    }
}

/// When a transfer last heard of its sender. A second transfer that wants the same partial file tells by it whether the
/// first is alive, or a broken connection that has not timed out yet.
final class TransferPulse: Sendable {
    private let heardAt = Atomic<UInt64>(0)

    func heard(at now: NetworkInstant) { heardAt.store(now.nanoseconds, ordering: .relaxed) }

    func hasHeard(after time: NetworkInstant) -> Bool { heardAt.load(ordering: .relaxed) > time.nanoseconds }
}

/// How long a transfer has waited for a partial file that another one has open.
struct PartialPatience: Sendable {
    /// What left a sender before it died may take as long as this to come.
    private static let echo = Duration.milliseconds(200)

    let since: NetworkInstant
    let isOver: Bool

    /// Whether the one who has the file will not give it back soon.
    func isKept(by holder: TransferPulse?) -> Bool {
        isOver || holder?.hasHeard(after: since.advanced(by: Self.echo)) ?? false
    }
}
