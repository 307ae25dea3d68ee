internal import DeP2PQUIC
internal import Glibc

/// A file or stream while it is read.
///
/// A file is sent as long as it was when it was found: what is appended meanwhile is left for the next time, as a log
/// that is written all the time could otherwise never be sent. One that became shorter, or was written to without
/// growing, is not sent.
struct SourceFile {
    private enum Bytes {
        case file(Descriptor, opened: FileStatus)
        /// A file read as a stream.
        case streamed(Descriptor)
        case stream(Int32)
        case memory(Chunk)
    }

    let index: Int
    /// `nil` for a stream.
    let size: UInt64?
    private let bytes: Bytes
    /// Where reading continues; of a stream, the bytes read.
    var position: UInt64 = 0
    /// Where sending began.
    var offset: UInt64 = 0
    /// Bytes of a stream that were sent.
    var sent: UInt64 = 0
    private var extents: FileExtents?

    var isStream: Bool { size == nil }
    var mayHaveHoles: Bool { extents != nil }

    /// Milliseconds to wait for a stream's bytes before looking up.
    private static let patience: Int32 = 200
    /// Bytes from which it helps to tell the kernel that a file will be read to its end.
    private static let leastAdvised: UInt64 = 256 * 1024

    init(
        _ entry: TransferEntry, _ origin: SendSource.Origin, index: Int, in folders: inout SourceFolders
    ) throws(TransferError) {
        self.index = index
        size = entry.size
        switch origin {
        case .stream(let number): bytes = .stream(number)
        case .bytes(let kept): bytes = .memory(Chunk(kept))
        case .below(let top):
            let descriptor = try Self.open(entry, top, in: &folders)
            guard entry.kind == .file else {
                bytes = .streamed(descriptor)
                break
            }
            let status = try Self.look(descriptor, entry)
            bytes = .file(descriptor, opened: status)
            if status.mayHaveHoles { extents = FileExtents(of: descriptor) }
        case .none: throw TransferError(.notAFile, "\(entry.name) is a folder")
        }
    }

    private static func open(
        _ entry: TransferEntry, _ top: Int, in folders: inout SourceFolders
    ) throws(TransferError) -> Descriptor {
        switch folders.open(entry.path, below: top) {
        case .success(let descriptor): return descriptor
        case .failure(let error):
            throw TransferError(.fileAccess, "\(entry.name): \(error)", underlying: error)
        }
    }

    private static func look(_ descriptor: Descriptor, _ entry: TransferEntry) throws(TransferError) -> FileStatus {
        guard case .success(let status) = descriptor.status(), status.kind == .file else {
            throw TransferError(.notAFile, "\(entry.name) is no longer a file")
        }
        guard let size = entry.size, status.size >= size else { throw shrunk(entry) }
        if size >= leastAdvised { _ = posix_fadvise(descriptor.number, 0, 0, POSIX_FADV_SEQUENTIAL) }
        return status
    }

    static func shrunk(_ entry: TransferEntry) -> TransferError {
        TransferError(.changedWhileSending, "\(entry.name) became shorter while it was sent")
    }

    /// An error when the bytes that were read need not be those that the file had at any time.
    func changeSinceOpening(_ entry: @autoclosure () -> TransferEntry) -> TransferError? {
        guard case .file(let descriptor, let opened) = bytes else { return nil }
        guard case .success(let now) = descriptor.status(), now.isUnchanged(since: opened) || now.size > opened.size
        else { return TransferError(.changedWhileSending, "\(entry().name) changed while it was sent") }
        return nil
    }

    /// What comes next of a file, of which `remaining` bytes are left: nothing need be read of a hole.
    mutating func run(of remaining: UInt64) -> FileExtents.Run {
        extents?.run(at: position, below: position + remaining) ?? .data(remaining)
    }

    /// Reads up to `limit` bytes behind what `chunk` holds.
    ///
    /// - Returns: the bytes read, 0 at the end; `nil` when a stream has none now (after a little patience, if
    ///   `waiting`).
    mutating func read(into chunk: Chunk, limit: Int, waiting: Bool) -> Result<Int?, TransferError> {
        let result: Result<Int, FileError>
        switch bytes {
        case .file(let descriptor, _): result = chunk.read(from: descriptor.number, at: position, limit: limit)
        case .streamed(let descriptor): result = chunk.read(from: descriptor.number, at: nil, limit: limit)
        case .memory(let kept):
            let start = Int(clamping: position)
            let end = min(start + min(limit, chunk.available), kept.count)
            chunk.append(kept.array(start..<end))
            result = .success(end - start)
        case .stream(let number):
            var poll = pollfd(fd: number, events: Int16(POLLIN), revents: 0)
            guard Glibc.poll(&poll, 1, waiting ? Self.patience : 0) > 0 else { return .success(nil) }
            result = chunk.read(from: number, at: nil, limit: limit)
        }
        switch result {
        case .success(let count):
            position += UInt64(count)
            return .success(count)
        case .failure(let error) where error.errno == EAGAIN && isStream: return .success(nil)
        case .failure(let error):
            return .failure(TransferError(.fileAccess, "reading failed: \(error)", underlying: error))
        }
    }
}
