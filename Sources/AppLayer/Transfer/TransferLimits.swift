internal import DeP2PIdentity

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
