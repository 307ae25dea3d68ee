/// The sender's side of one transfer, without time, files or network.
///
/// States: `awaitingAccept` → (`accept` frame without `more`) → `sending` → (`handleSourceEnd`) → `awaitingReceipts` →
/// (`done` frame, everything accounted for) → `finished`. `refuse`, `cancel` and any violation end in `failed` from
/// everywhere.
struct TransferSenderStateMachine {
    /// What the receiver claims to hold, by entry.
    typealias Held = [Int: HeldFile.Content]

    /// A class, so that what comes of hundreds of thousands of files changes it in place; the state alone holds it.
    private final class Files {
        /// Sent to the end and without a receipt yet.
        var unconfirmed: [Int: (size: UInt64, root: MerkleRoot)] = [:]
        /// Files up to this index have been sent to their end, or given up.
        var next = 0
        /// Entries that the receiver cannot store.
        var refused: Set<Int> = []
        /// Bytes of the receiver's words that ``summary`` keeps of them.
        var reasonBytes = 0
        var summary = TransferSummary()
    }

    private enum State {
        case awaitingAccept(Held, pieces: Int)
        case sending(Files)
        case awaitingReceipts(Files)
        case finished
        case failed(TransferError)
    }

    private let offer: TransferOffer
    private var state = State.awaitingAccept([:], pieces: 0)

    init(offer: TransferOffer) {
        self.offer = offer
    }

    enum OnFrame: Equatable {
        case none
        /// The receiver is at work: the stall clock starts anew.
        case progress
        /// `takesZeros`: as a number.
        case startSending(Held, takesZeros: Bool)
        case stored(TransferredFile)
        case fileFailed(TransferFailure)
        /// As ``fileFailed(_:)``; what is left of it need not be sent.
        case fileRefused(TransferFailure)
        /// Everything is accounted for: end the stream.
        case finish(TransferSummary)
        case fail(TransferError)
    }

    mutating func handle(_ frame: TransferReceiverFrame) -> OnFrame {
        switch frame {
        case .working: return .progress
        case .cancel(let error): return fail(error)
        case .refuse(let error):
            guard case .awaitingAccept = state else { return violation("a refusal in the middle of a transfer") }
            return fail(error)
        case .accept(let page): return handleAccept(page)
        case .receipt(let index, let root, let path): return handleReceipt(index, root, path)
        case .mismatch(let index, _): return handleMismatch(index)
        case .refused(let index, let error): return handleRefusal(index, error)
        case .done(let count): return handleDone(count)
        }
    }

    /// The source read a file to its end and the bytes are on their way.
    mutating func handleSent(index: Int, size: UInt64, root: MerkleRoot, resumedFrom offset: UInt64) {
        guard case .sending(let files) = state else { return }
        files.next = index + 1
        guard !files.refused.contains(index) else { return }
        files.unconfirmed[index] = (size, root)
        files.summary.resumedBytes += offset
    }

    /// The source could not read a file to its end; the receiver has been told.
    mutating func handleUnsent(index: Int, error: TransferError) -> TransferFailure? {
        guard case .sending(let files) = state else { return nil }
        files.next = index + 1
        guard !files.refused.contains(index) else { return nil }
        let failure = TransferFailure(index: index, path: offer.entries[index].path, error: error)
        files.summary.failed.append(failure)
        return failure
    }

    /// Everything has been read, and the last of it is about to be written.
    mutating func handleSourceEnd() {
        guard case .sending(let files) = state else { return }
        state = .awaitingReceipts(files)
    }

    enum OnEnd: Equatable {
        case none
        case fail(TransferError)
    }

    /// The receiver's side of the stream ended.
    mutating func handleEndOfStream() -> OnEnd {
        switch state {
        case .finished: return .none
        case .failed(let error): return .fail(error)
        case .awaitingAccept, .sending, .awaitingReceipts:
            let error = TransferError(.connectionLost, "the receiver ended the transfer without a receipt")
            state = .failed(error)
            return .fail(error)
        }
    }

    // MARK: Frames

    private mutating func handleAccept(_ page: HeldPage) -> OnFrame {
        guard case .awaitingAccept(var held, var pieces) = state else { return violation("an unexpected accept") }
        for file in page.files {
            guard offer.entries.indices.contains(file.index), held[file.index] == nil,
                let count = pieceCount(of: file)
            else { return violation("a claim to hold what was not offered") }
            pieces += count
            held[file.index] = file.content
        }
        guard pieces <= TransferLimits.pieces else { return violation("claims of \(pieces) pieces") }
        if page.more {
            guard !page.files.isEmpty else { return violation("an empty page of what it holds") }
            state = .awaitingAccept(held, pieces: pieces)
            return .progress
        }
        let files = Files()
        files.summary.files = TransferredFiles(of: offer.entries)
        files.summary.directories = offer.entries.count - offer.fileCount
        // The receiver of nothing but folders is done at once.
        state = offer.fileCount == 0 ? .awaitingReceipts(files) : .sending(files)
        return .startSending(held, takesZeros: page.takesZeros)
    }

    /// `nil` when the claim does not fit the entry.
    private func pieceCount(of file: HeldFile) -> Int? {
        let entry = offer.entries[file.index]
        switch (entry.kind, file.content) {
        case (.directory, _), (.stream, .whole): return nil
        case (.file, .whole): return 1
        case (.file, .pieces(let exponent, let roots)):
            let size = entry.size ?? 0
            guard exponent == MerkleTree.pieceExponent(size: size) else { return nil }
            let most = (size >> UInt64(exponent)) + (size.isMultiple(of: 1 << UInt64(exponent)) ? 0 : 1)
            return UInt64(roots.count) <= most ? roots.count : nil
        case (.stream, .pieces(let exponent, let roots)):
            let fits = exponent == TransferLimits.leastPieceExponent && roots.count <= TransferLimits.piecesPerFile
            return fits ? roots.count : nil
        }
    }

    private mutating func handleReceipt(_ index: Int, _ root: MerkleRoot, _ path: [String]) -> OnFrame {
        change { files, offer in
            guard let sent = files.unconfirmed.removeValue(forKey: index) else {
                return .fail(.violation("a receipt for what was not sent"))
            }
            guard sent.root == root else {
                return .fail(TransferError(.hashMismatch, "the receipt's root is not the file's"))
            }
            guard path.reduce(0, { $0 + $1.utf8.count + 1 }) <= TransferLimits.pathBytes else {
                return .fail(.violation("a stored name beyond \(TransferLimits.pathBytes) bytes"))
            }
            // Most often they are the same: one array of a hundred thousand, then, not two.
            let offered = offer.entries.isPath(path, at: index) ? path : offer.entries[index].path
            let file = TransferredFile(index: index, path: offered, storedPath: path, size: sent.size, root: root)
            files.summary.files.append(file)
            files.summary.bytes += sent.size
            return .stored(file)
        }
    }

    private mutating func handleMismatch(_ index: Int) -> OnFrame {
        change { files, offer in
            guard files.unconfirmed.removeValue(forKey: index) != nil else {
                return .fail(.violation("a mismatch of what was not sent"))
            }
            let path = offer.entries[index].path
            let error = TransferError(
                .hashMismatch, "what arrived is not what was read: the file changed, or a disk fails", isFromPeer: true)
            let failure = TransferFailure(index: index, path: path, error: error)
            files.summary.failed.append(failure)
            return .fileFailed(failure)
        }
    }

    private mutating func handleRefusal(_ index: Int, _ error: TransferError) -> OnFrame {
        change { files, offer in
            guard offer.entries.indices.contains(index), files.refused.insert(index).inserted else {
                return .fail(.violation("a refusal of what was not offered, or was refused before"))
            }
            let isFolder = offer.entries.kind(at: index) == .directory
            if isFolder { files.summary.directories -= 1 }
            // Given up here meanwhile: that has been told.
            guard isFolder || files.unconfirmed.removeValue(forKey: index) != nil || index >= files.next else {
                return .progress
            }
            files.reasonBytes += error.message.utf8.count
            let isTooMuch = files.reasonBytes > TransferLimits.reasonsBytes
            let kept =
                isTooMuch ? TransferError(error.code, "not stored, as others before it", from: error.speaker) : error
            let failure = TransferFailure(index: index, path: offer.entries[index].path, error: kept)
            files.summary.failed.append(failure)
            return .fileRefused(failure)
        }
    }

    private mutating func handleDone(_ count: Int) -> OnFrame {
        guard case .awaitingReceipts(let files) = state else { return violation("the end before everything was sent") }
        guard files.unconfirmed.isEmpty, count == files.summary.files.count else {
            return violation("the end with \(files.unconfirmed.count) receipts missing")
        }
        state = .finished
        return .finish(files.summary)
    }

    private mutating func change(_ body: (Files, TransferOffer) -> OnFrame) -> OnFrame {
        let action: OnFrame
        switch state {
        case .sending(let files), .awaitingReceipts(let files): action = body(files, offer)
        case .awaitingAccept, .finished, .failed:
            return violation("a receipt before the transfer began or after its end")
        }
        if case .fail(let error) = action { return fail(error) }
        return action
    }

    private mutating func violation(_ message: String) -> OnFrame { fail(.violation("the receiver sent \(message)")) }

    private mutating func fail(_ error: TransferError) -> OnFrame {
        if case .failed(let first) = state { return .fail(first) }
        state = .failed(error)
        return .fail(error)
    }
}
