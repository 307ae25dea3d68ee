internal import DeP2PIdentity

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
