internal import Glibc

/// What is to be sent: files and folders, found and checked beforehand, or one stream.
///
/// Folders are walked without following symlinks, so a walk neither loops nor leaves them. Hidden files belong to a
/// folder like any other.
package struct SendSource: Sendable {
    /// Where an entry's bytes come from.
    enum Origin: Sendable {
        /// A file or folder named directly: its number among ``SendSource/tops``. The entry's path below its first
        /// component leads from there to the entry.
        case below(Int)
        /// What a file held whose size is not known before it is read.
        case bytes([UInt8])
        /// Bytes as they come: standard input.
        case stream(Int32)
        /// A folder: nothing to read.
        case none
    }

    /// What was named.
    struct Top: Sendable {
        let path: [UInt8]
        /// The folder that was walked, which must be the one that is read.
        let folder: FileStatus?
    }

    package let offer: TransferOffer
    /// What lies in the folders and is not sent: symlinks, devices, pipes, sockets.
    package let skipped: [SkippedFile]
    /// What was named, or lies in the folders, and should be sent and can't be.
    package let unsent: [UnsentFile]
    let origins: [Origin]
    let tops: [Top]

    /// Finds the files and folders `paths` (as the user wrote them). What cannot be sent is in ``unsent``; the others are
    /// sent.
    ///
    /// Reads folders: call it away from the network thread.
    /// - Throws: ``TransferError`` `.badOffer` beyond a limit. When nothing is left to send, what the first of ``unsent``
    ///   failed with: `.notFound`, `.fileAccess`, `.notAFile` for a symlink or device that is named directly, `.badName`.
    package init(paths: [[UInt8]]) throws(TransferError) {
        let (source, unsent) = try Self.find(paths)
        guard let source else { throw unsent.first?.error ?? TransferError(.badOffer, "nothing to send") }
        self = source
    }

    package init(paths: [String]) throws(TransferError) {
        try self.init(paths: paths.map { Array($0.utf8) })
    }

    /// As ``init(paths:)``, for a caller that wants to tell of all that cannot be sent.
    ///
    /// - Returns: `nil` for the source when nothing is left to send.
    package static func find(_ paths: [[UInt8]]) throws(TransferError) -> (source: SendSource?, unsent: [UnsentFile]) {
        var walk = SourceWalk()
        for path in paths { try walk.add(path) }
        guard !walk.entries.isEmpty else { return (nil, walk.unsent) }
        return (try SendSource(walk), walk.unsent)
    }

    private init(_ walk: SourceWalk) throws(TransferError) {
        offer = try TransferOffer(entries: walk.entries)
        (origins, tops, skipped, unsent) = (walk.origins, walk.tops, walk.skipped, walk.unsent)
    }

    /// Sends what `descriptor` yields until its end, under `name`. The descriptor stays the caller's.
    package init(stream descriptor: Int32, name: String = "stdin") throws(TransferError) {
        let entry = TransferEntry(kind: .stream, path: try TransferName.checked(path: [name]), size: nil)
        offer = try TransferOffer(entries: [entry])
        (origins, tops, skipped, unsent) = ([.stream(descriptor)], [], [], [])
    }
}

/// Something that should have been sent and was not.
package struct UnsentFile: Equatable, Sendable {
    /// The path as the user wrote it, with what lies below: bytes, as a file's name need not be text.
    package let path: [UInt8]
    package let error: TransferError
}
