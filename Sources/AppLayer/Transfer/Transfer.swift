package import DeP2PIdentity

/// `/dep2p/app/transfer/1.0.0`: files, folders and streams, one bidirectional stream of the connection a transfer.
///
/// ```
/// sender                                          receiver
///   offer (pages: names, sizes)            →
///                                          ←      accept (pages: what is held already) | refuse
///   per file: start, data…, end(root)      →
///                                          ←      receipt(root, stored name) | mismatch, as each is on the disk
///                                          ←      done
///   end of stream once every receipt fits  →
///                                          ←      end of stream
/// ```
/// The receiver claims what it holds as hashes of pieces; the sender compares them with its own file and starts at the
/// first difference, so a partial file that is damaged or of another version costs no more than being sent again.
///
/// The root of a file travels behind its bytes and not in the offer: hashing then runs in the one pass that reads the
/// file for sending, where a pass beforehand would cost half a second a GiB.
package enum Transfer {
    package static let protocolID = "/dep2p/app/transfer/1.0.0"
}

/// Limits of a transfer, each with what exceeding it means for the user.
package enum TransferLimits {
    /// Bytes of one frame, raw data included.
    package static let frame = 1 << 20
    /// Files and folders in one transfer.
    package static let entries = 1_000_000
    /// UTF-8 bytes of all paths of one transfer: most of what a receiver keeps in memory of an offer.
    package static let offerBytes = 64 << 20
    /// Folders above a file.
    package static let depth = 64
    /// UTF-8 bytes of a file's name (NAME_MAX).
    package static let nameBytes = 255
    /// UTF-8 bytes of a path (PATH_MAX).
    package static let pathBytes = 4096
    /// The largest offset that a file can have.
    package static let fileSize = UInt64(Int64.max)
    /// UTF-8 bytes of a reason in words.
    package static let reasonBytes = 1024
    /// Zeros of a file that travel as a number: fewer are bytes like any others. A block of the tree.
    static let leastZeros: UInt64 = 16 * 1024
    /// Bytes of a file from which it is looked at for holes.
    static let leastSparse: UInt64 = 64 * 1024
    /// UTF-8 bytes of the other side's reasons that are kept of all files that it gave up, or refused.
    static let reasonsBytes = 256 * 1024

    /// log2 of the smallest piece in which partial files are compared.
    static let leastPieceExponent = 20
    /// log2 of the largest: ``piecesPerFile`` of them hold the largest file.
    static let greatestPieceExponent: UInt32 = 51
    /// Pieces claimed of one file, unless it is a stream.
    static let piecesPerFile = 4096
    /// Piece hashes claimed in one transfer.
    static let pieces = 1 << 18
    /// Partial files claimed, and held open, in one transfer.
    static let partials = 64
    /// Partial files of one sender under one name: as many may arrive at once.
    static let partialsPerName = 16
    /// Seconds after which a partial file that nobody continues is removed.
    package static let partialAge: Int64 = 7 * 24 * 3600
    /// Files and folders looked at in search of such.
    static let sweepEntries = 100_000

    /// Bytes of a file that is not worth continuing: it has no name until it is whole. Of ``commitBacklog`` of them
    /// 8 MiB are lost at most.
    static let unnamedFile: UInt64 = 64 * 1024
    /// Names read from folders in search of partial files; beyond them each is looked for by itself.
    static let listedNames = 1_000_000

    /// Bytes of one chunk that files are read into.
    static let chunk = 256 * 1024
    /// Bytes read before they cross to the network thread.
    static let batch = 1 << 20
    /// Files that end in one such hand-over: the first of many small ones should not wait for the last.
    static let filesPerBatch = 512
    /// Bytes read ahead of the network.
    static let readAhead = 4 << 20
    /// Bytes that wait for the disk before the network must wait. With half of it a fast sender is stopped and let go on half as
    /// often again, which costs more processor time than the memory is worth.
    static let writeBehind = 8 << 20
    /// Bytes that arrive before they cross to the disk's thread, unless time presses.
    static let writeBatch = 512 * 1024
    /// Bytes hashed of a partial file before the thread looks up again.
    static let hashSlice = 32 << 20
    /// Files that wait for fsync and rename, each with an open descriptor.
    static let commitBacklog = 128
    /// Frames that wait for the sender to take them before nothing more is written: it may not read its receipts.
    static let frameBacklog = 4096
    /// Bytes of a frame from which reading it is nothing for the network thread: its entries cost more than their bytes.
    static let largeFrame = 16 * 1024
    /// Bytes of a frame that may follow the accept. A small file in one keeps all that it was read with in memory: what is
    /// nothing but padding would take what no limit of the files' own bytes counts.
    static let fileFrame = 4 * 1024
    /// Bytes left on the disk from which on what nobody finishes is removed for a transfer that counts on that.
    static let roomAhead: UInt64 = 16 << 20
    /// Files made durable, or small ones stored, in one go of one worker.
    static let commitBatch = 32
    /// Workers that fsync side by side.
    static let commitWorkers = 4
    /// Bytes read of a sender that has been told that the transfer is over.
    static let farewellBytes = 1 << 20
    /// Numbered names tried in order, `disk (1).img` and so on; and then at random, before giving up.
    static let numberedNames = 100
    static let randomNames = 100
}

/// One file, folder or stream of a transfer. Its index is its position in the offer.
public struct TransferEntry: Hashable, Sendable {
    public enum Kind: Hashable, Sendable {
        case file
        case directory
        /// Bytes of unknown number: standard input.
        case stream
    }

    public let kind: Kind
    /// Components of the relative path.
    public let path: [String]
    /// Bytes; `nil` for a stream, 0 for a folder.
    public let size: UInt64?
    package let isExecutable: Bool
    /// Nanoseconds since 1970.
    package let modified: Int64?
    /// Bytes of a file with holes that are not in them; `nil` when nothing is known of holes.
    package let dataSize: UInt64?

    package init(
        kind: Kind, path: [String], size: UInt64?, isExecutable: Bool = false, modified: Int64? = nil,
        dataSize: UInt64? = nil
    ) {
        self.kind = kind
        self.path = path
        self.size = size
        self.isExecutable = isExecutable
        self.modified = modified
        self.dataSize = dataSize
    }

    /// The path with slashes; a peer may have chosen it, so escape it before it reaches a terminal.
    public var name: String { path.joined(separator: "/") }
}

/// What a sender wants to send.
public struct TransferOffer: Hashable, Sendable {
    public let entries: TransferEntries
    /// Bytes of all entries whose size is known.
    public let totalSize: UInt64

    /// - Throws: ``TransferError`` `.badOffer` when a limit is exceeded: entries, path bytes, or a sum of sizes beyond
    ///   what 64 bits and a file can hold.
    package init(entries: some Sequence<TransferEntry>) throws(TransferError) {
        try self.init(entries: TransferEntries(entries))
    }

    /// - Throws: as ``init(entries:)``.
    package init(entries: TransferEntries) throws(TransferError) {
        guard entries.count <= TransferLimits.entries else {
            throw TransferError(
                .badOffer, "\(entries.count) files and folders; one transfer takes \(TransferLimits.entries)")
        }
        var total: UInt64 = 0
        for index in entries.indices {
            let (sum, overflow) = total.addingReportingOverflow(entries.size(at: index))
            guard !overflow, sum <= TransferLimits.fileSize else {
                throw TransferError(.badOffer, "the sizes add up to more than 2^63 bytes")
            }
            total = sum
        }
        let bytes = entries.nameBytes
        guard bytes <= TransferLimits.offerBytes else {
            throw TransferError(.badOffer, "\(bytes) bytes of names; one transfer takes \(TransferLimits.offerBytes)")
        }
        guard entries.indices.count(where: { entries.kind(at: $0) == .stream }) <= 1 else {
            throw TransferError(.badOffer, "more than one stream")
        }
        self.entries = entries
        totalSize = total
    }

    /// Whether the number of bytes is known beforehand.
    public var hasStream: Bool { entries.indices.contains { entries.kind(at: $0) == .stream } }

    /// The first components of all paths: what was named. Each once, in the order of the offer.
    var tops: [String] { entries.tops().map { String(decoding: $0, as: UTF8.self) } }

    /// Entries that carry bytes.
    public var fileCount: Int { entries.indices.count { entries.kind(at: $0) != .directory } }
}

/// The outcome of a transfer.
public struct TransferSummary: Equatable, Sendable {
    /// Files that the receiver verified and made durable.
    public var files = TransferredFiles()
    /// Bytes of those files, resumed ones included.
    public var bytes: UInt64 = 0
    /// Bytes that were not sent because the receiver held them already.
    public var resumedBytes: UInt64 = 0
    /// Folders made or found.
    public var directories = 0
    /// Files that the sender could not read to their end, or that changed meanwhile.
    public var failed: [TransferFailure] = []
    /// Sender only: what lies in the folders and is not sent (symlinks, devices, pipes, sockets).
    public var skipped: [SkippedFile] = []
    /// Sender only: what should have been sent and could not even be offered.
    package var unsent: [UnsentFile] = []

    /// The root of the only file; of several, the Merkle root over their roots in the order of the offer.
    package var root: MerkleRoot? {
        guard files.count != 1 else { return files[0].root }
        guard !files.isEmpty else { return nil }
        return MerkleHasher(pieces: files.rootsInOrder, level: 0).root()
    }
}

/// A file that was offered and not transferred.
public struct TransferFailure: Equatable, Sendable {
    package let index: Int
    public let path: [String]
    public let error: TransferError
}

/// Something in a folder that is not sent.
public struct SkippedFile: Equatable, Sendable {
    /// The path with slashes, invalid UTF-8 repaired.
    public let path: String
    public let reason: String
}

package typealias MerkleRoot = SHA256.Digest

/// Codes with which a stream of this protocol is reset or stopped. The frame beside it, when it gets through, says
/// more.
package enum TransferStreamCode {
    package static let cancelled: UInt64 = 0x100
    package static let refused: UInt64 = 0x101
    package static let stalled: UInt64 = 0x102
    package static let protocolViolation: UInt64 = 0x103
    package static let failed: UInt64 = 0x104
}
