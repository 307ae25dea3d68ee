internal import DeP2PQUIC
internal import Glibc

/// Where received bytes go. All methods block: they run in ``offload(_:)``, `write` and the preparing ones one call at
/// a time, `commit` and ``SmallFileStore`` beside them and beside themselves, ``giveUp()`` beside all of them.
///
/// Calling order: `prepare`; `hashHeld` until it says there is no more; `claims`; `makeFolders`; `smallFileStore`; then
/// `write` and `commit`; at last `finish`.
protocol TransferSink: AnyObject, Sendable {
    /// Looks at what is held already, and whether there is room.
    ///
    /// - Throws: ``TransferError`` `.busy` when another transfer has a file open that may soon be free (worth trying
    ///   again), `.noSpace`, `.badName`, `.oneFileOnly`.
    func prepare(_ patience: PartialPatience) throws(TransferError)

    /// Hashes some of what is held; false when there is nothing left to hash.
    func hashHeld() throws(TransferError) -> Bool

    /// What is held. Valid after ``hashHeld()`` said so.
    var claims: [HeldFile] { get }

    /// Whether zeros may come as a number.
    var takesZeros: Bool { get }

    /// Makes the folders of the offer; those that can't be, when they concern nobody else.
    func makeFolders() throws(TransferError) -> [TransferFailure]

    /// Where small files go that come whole; `nil` when they are written like any others.
    func smallFileStore() -> SmallFileStore?

    func write(_ operations: [WriteOperation]) throws(TransferError) -> [WriteResult]

    /// Makes files durable and gives them their names.
    func commit(_ files: [WrittenFile]) throws(TransferError) -> [CommitResult]

    /// The transfer is over; `confirmed` when the sender has every receipt.
    func finish(confirmed: Bool)

    /// Ends a `write` that waits for somebody, and a `makeFolders` that has many to make. May be called from any thread.
    func giveUp()

    /// Bytes that have gone where they cannot be taken back. May be asked from any thread.
    var passedOn: UInt64 { get }
}

/// One step of a received file, in the order of the stream.
enum WriteOperation: Sendable {
    case start(index: Int, offset: UInt64)
    case data(Chunk, Range<Int>)
    case zeros(UInt64)
    case end(index: Int, root: MerkleRoot)
    /// The sender gives up the file that was started.
    case abandon

    /// Bytes that wait in memory until the step is taken.
    var byteCount: Int {
        if case .data(_, let range) = self { range.count } else { 0 }
    }

    var zeroCount: UInt64 {
        if case .zeros(let count) = self { count } else { 0 }
    }
}

enum WriteResult: Sendable {
    case written(WrittenFile)
    case mismatch(index: Int, root: MerkleRoot)
    /// This entry cannot be stored here, the others can.
    case refused(index: Int, TransferError)
}

enum CommitResult: Sendable {
    case stored(TransferredFile, resumedFrom: UInt64)
    case refused(index: Int, TransferError)
}

/// A file that came whole and has the sender's root.
struct WrittenFile: Sendable {
    let index: Int
    let size: UInt64
    let root: MerkleRoot
    let resumedFrom: UInt64
    /// `nil` when nothing is left to do: it lies under its final name, or went to a pipe.
    let partial: PartialFile?
    /// The folder it lies in, as components below the output folder.
    var folder: [String] = []
    /// Known when there is no partial file.
    let storedPath: [String]
}

/// The file that a sink is writing.
struct IncomingFile {
    let index: Int
    let offset: UInt64
    var position: UInt64
    var hasher: MerkleHasher
    let partial: PartialFile?
    /// The folder it lies in, as components below the output folder.
    var folder: [String] = []
}

extension TransferError {
    /// Whether the next file may fare better: of a name, a length or a right that is missing, not of the disk.
    var concernsOneFile: Bool {
        if code == .badName || code == .busy { return true }
        guard let error = underlying as? FileError else { return false }
        return error.isRefusedName
            || [EFBIG, EACCES, EPERM, ENOTDIR, ELOOP, EISDIR, EEXIST, ENXIO, ETXTBSY].contains(error.errno)
    }

    /// What a failed write or fsync means.
    static func writing(_ name: String, _ error: FileError) -> TransferError {
        switch error.errno {
        case ENOSPC, EDQUOT:
            TransferError(.noSpace, "\(name): \(error); what came so far is kept", underlying: error)
        case EFBIG: TransferError(.noSpace, "\(name): the file would be too large here", underlying: error)
        default: TransferError(.fileAccess, "\(name): \(error)", underlying: error)
        }
    }
}
