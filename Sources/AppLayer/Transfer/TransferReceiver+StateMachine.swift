/// The receiver's side of one transfer, without time, files or network.
///
/// States: `receivingOffer` → (last page) → `deciding` → (`handleAccepted`) → `receiving` → (every file ended and
/// stored) → `done` → (end of the sender's stream) → `finished`. `cancel` and any violation end in `failed` from
/// everywhere.
///
/// Files come in the order of the offer; each is started or reported as failed, none is left out.
struct TransferReceiverStateMachine {
    fileprivate struct Current {
        let index: Int
        let offset: UInt64
        var end: UInt64
    }

    /// A class, so that what comes of hundreds of thousands of files changes it in place; the state alone holds it.
    fileprivate final class Receiving {
        let offer: TransferOffer
        let held: [Int: HeldFile.Content]
        let takesZeros: Bool
        /// Indices of entries with bytes, in order; `next` of them have been started or failed.
        let files: [Int]
        var next = 0
        var current: Current?
        /// Ended by the sender and not stored yet.
        var unstored: [Int: UInt64] = [:]
        /// What cannot be stored here; its bytes may be on their way still.
        var refused: Set<Int> = []
        var summary = TransferSummary()
        /// Bytes of the sender's words that ``summary`` keeps.
        var reasonBytes = 0

        init(_ offer: TransferOffer, held: [HeldFile], takesZeros: Bool) {
            self.offer = offer
            self.held = Dictionary(held.map { ($0.index, $0.content) }, uniquingKeysWith: { first, _ in first })
            self.takesZeros = takesZeros
            files = offer.entries.indices.filter { offer.entries.kind(at: $0) != .directory }
            summary.files = TransferredFiles(of: offer.entries)
            summary.directories = offer.entries.count - files.count
        }

        var isComplete: Bool { next == files.count && current == nil && unstored.isEmpty }
    }

    private enum State {
        case receivingOffer(TransferEntries, nameBytes: Int)
        case deciding(TransferOffer)
        case receiving(Receiving)
        case done(TransferSummary)
        case finished
        case failed(TransferError)
    }

    private let maximumSize: UInt64
    /// Whether the sender lets files be refused one by one.
    private(set) var takesRefusals = false
    private var state = State.receivingOffer(TransferEntries(), nameBytes: 0)

    /// - Parameter maximumSize: the most bytes that the whole transfer may have.
    init(maximumSize: UInt64 = TransferLimits.fileSize) {
        self.maximumSize = maximumSize
    }

    enum OnFrame: Equatable {
        case none
        case decide(TransferOffer)
        case start(index: Int, offset: UInt64)
        case expectData(Int)
        case zeros(UInt64)
        case end(index: Int, size: UInt64, root: MerkleRoot)
        /// The sender gave this file up; `started` when part of it has come.
        case skip(TransferFailure, started: Bool)
        /// Nothing is left to come or to store: say so.
        case done(TransferSummary)
        case fail(TransferError)
    }

    mutating func handle(_ frame: TransferSenderFrame) -> OnFrame {
        switch frame {
        case .working: return .none
        case .cancel(let error): return fail(error)
        case .offer(let page): return handleOffer(page)
        case .start(let index, let offset): return change { $0.start(index, offset) }
        case .data(let length):
            let maximumSize = maximumSize
            return change { $0.data(length, maximumSize: maximumSize) }
        case .zeros(let count): return change { $0.zeros(count) }
        case .end(let index, let size, let root): return completing { $0.end(index, size, root) }
        case .failed(let index, let error): return completing { $0.failed(index, error) }
        }
    }

    /// The receiver's owner accepts the offer, holding `held` of it.
    ///
    /// - Parameters:
    ///   - takesZeros: whether the sender was told that zeros may come as a number.
    ///   - refused: folders that can't be made, as the sender was told.
    /// - Returns: `.done` when there is nothing to come (folders only).
    mutating func handleAccepted(
        held: [HeldFile], takesZeros: Bool, refused: [TransferFailure] = []
    ) -> OnFrame {
        guard case .deciding(let offer) = state else { return .none }
        let receiving = Receiving(offer, held: held, takesZeros: takesZeros)
        for failure in refused { _ = receiving.refuse(failure.index, failure.error) }
        state = .receiving(receiving)
        return completing { _ in .none }
    }

    /// Takes a file that nothing is held of and that came whole in one go: its start, its bytes and its end.
    ///
    /// - Returns: false, and nothing is changed, for what is not in order: the frames one by one say what it is.
    mutating func handleWhole(index: Int, size: UInt64) -> Bool {
        guard case .receiving(let receiving) = state else { return false }
        return receiving.takeWhole(index, size)
    }

    /// A file is verified, durable and under its final name.
    mutating func handleStored(_ file: TransferredFile, resumedFrom offset: UInt64) -> OnFrame {
        completing { receiving in
            guard receiving.unstored.removeValue(forKey: file.index) != nil else { return .none }
            receiving.summary.files.append(file)
            receiving.summary.bytes += file.size
            receiving.summary.resumedBytes += offset
            return .none
        }
    }

    /// A file's bytes do not have the root that the sender gave.
    mutating func handleMismatch(index: Int) -> OnFrame {
        completing { receiving in
            guard receiving.unstored.removeValue(forKey: index) != nil else { return .none }
            let error = TransferError(.hashMismatch, "what arrived is not what the sender read")
            receiving.summary.failed.append(
                TransferFailure(index: index, path: receiving.offer.entries[index].path, error: error))
            return .none
        }
    }

    /// An entry cannot be stored here.
    ///
    /// - Returns: what to tell the sender, unless it has given the file up itself; and what follows.
    mutating func handleRefused(index: Int, error: TransferError) -> (failure: TransferFailure?, then: OnFrame) {
        // The sender had given the file up, and with it all was done: the disk's word of it comes late.
        guard case .receiving = state else { return (nil, .none) }
        var failure: TransferFailure?
        let action = completing { receiving in
            failure = receiving.refuse(index, error)
            return .none
        }
        return (failure, action)
    }

    enum OnEnd: Equatable {
        /// The sender has every receipt.
        case complete
        case fail(TransferError)
    }

    /// The sender's side of the stream ended.
    mutating func handleEndOfStream() -> OnEnd {
        switch state {
        case .done, .finished:
            state = .finished
            return .complete
        case .failed(let error): return .fail(error)
        case .receivingOffer, .deciding, .receiving:
            let error = TransferError(.connectionLost, "the sender ended the stream in the middle of the transfer")
            state = .failed(error)
            return .fail(error)
        }
    }

    // MARK: The offer

    private mutating func handleOffer(_ page: OfferPage) -> OnFrame {
        guard case .receivingOffer(var entries, var nameBytes) = state else { return violation("a second offer") }
        state = .receivingOffer(TransferEntries(), nameBytes: 0)
        entries.append(contentsOf: page.entries)
        guard page.entries.depth <= TransferLimits.depth else {
            return fail(TransferError(.badOffer, "a path more than \(TransferLimits.depth) folders deep"))
        }
        for position in page.entries.indices {
            for component in page.entries.components(at: position) { nameBytes += component.count + 1 }
        }
        guard entries.count <= page.count, nameBytes <= TransferLimits.offerBytes else {
            return fail(TransferError(.badOffer, "an offer beyond \(TransferLimits.offerBytes) bytes of names"))
        }
        if page.more {
            guard !page.entries.isEmpty else { return violation("an empty page of an offer") }
            state = .receivingOffer(entries, nameBytes: nameBytes)
            return .none
        }
        takesRefusals = page.takesRefusals
        guard entries.count == page.count, !entries.isEmpty else {
            return violation("an offer of \(page.count) entries with \(entries.count) of them")
        }
        do throws(TransferError) {
            let offer = try TransferOffer(entries: entries)
            guard offer.totalSize == page.totalSize else { return violation("a total that its sizes do not add up to") }
            state = .deciding(offer)
            return .decide(offer)
        } catch {
            return fail(error)
        }
    }

    // MARK: Steps

    private mutating func change(_ body: (Receiving) -> OnFrame) -> OnFrame {
        guard case .receiving(let receiving) = state else {
            return violation("a file before the offer was accepted or after the end")
        }
        let action = body(receiving)
        if case .fail(let error) = action { return fail(error) }
        return action
    }

    /// A change after which nothing may be left to do.
    private mutating func completing(_ body: (Receiving) -> OnFrame) -> OnFrame {
        let action = change(body)
        guard case .receiving(let receiving) = state, receiving.isComplete, action == .none else { return action }
        state = .done(receiving.summary)
        return .done(receiving.summary)
    }

    /// Whether everything has come and is stored; after an action other than `none`, which ``completing`` kept.
    mutating func handleIdle() -> OnFrame {
        guard case .receiving = state else { return .none }
        return completing { _ in .none }
    }

    private mutating func violation(_ message: String) -> OnFrame { fail(.violation("the sender sent \(message)")) }

    private mutating func fail(_ error: TransferError) -> OnFrame {
        if case .failed(let first) = state { return .fail(first) }
        state = .failed(error)
        return .fail(error)
    }
}

extension TransferReceiverStateMachine.Receiving {
    fileprivate typealias OnFrame = TransferReceiverStateMachine.OnFrame

    fileprivate func takeWhole(_ index: Int, _ size: UInt64) -> Bool {
        guard current == nil, next < files.count, files[next] == index, held[index] == nil,
            offer.entries.knownSize(at: index) == size
        else { return false }
        next += 1
        unstored[index] = size
        return true
    }

    fileprivate func start(_ index: Int, _ offset: UInt64) -> OnFrame {
        guard current == nil, next < files.count, files[next] == index else {
            return .fail(.violation("the sender started a file out of order"))
        }
        guard isAllowed(offset, of: index) else {
            return .fail(.violation("the sender skipped bytes that the receiver does not hold"))
        }
        current = .init(index: index, offset: offset, end: offset)
        next += 1
        return .start(index: index, offset: offset)
    }

    private func isAllowed(_ offset: UInt64, of index: Int) -> Bool {
        guard offset > 0 else { return true }
        switch held[index] {
        case nil: return false
        case .whole: return offset == offer.entries.knownSize(at: index)
        case .pieces(let exponent, let roots):
            let (end, overflow) = UInt64(roots.count).multipliedReportingOverflow(by: 1 << UInt64(exponent))
            guard !overflow else { return false }
            let size = offer.entries.knownSize(at: index) ?? .max
            if offset == size { return end >= size }
            return offset <= min(end, size) && offset.isMultiple(of: 1 << UInt64(exponent))
        }
    }

    fileprivate func data(_ length: Int, maximumSize: UInt64) -> OnFrame {
        guard let file = current else { return .fail(.violation("the sender sent data outside of a file")) }
        let size = offer.entries.knownSize(at: file.index)
        guard let end = end(of: file, after: UInt64(length)) else { return tooMuch(size) }
        if size == nil {
            // What a stream resumes at counts too: the limit is on what ends up on the disk.
            guard end <= maximumSize, offer.totalSize <= maximumSize - end else {
                return .fail(
                    TransferError(
                        .tooLarge, "more than the \(maximumSize) bytes that the receiver takes", limit: maximumSize))
            }
        }
        current?.end = end
        return .expectData(length)
    }

    fileprivate func zeros(_ count: UInt64) -> OnFrame {
        guard let file = current, let size = offer.entries.knownSize(at: file.index), takesZeros else {
            return .fail(.violation("the sender sent zeros as a number, which were not asked for"))
        }
        guard let end = end(of: file, after: count) else { return tooMuch(size) }
        current?.end = end
        return .zeros(count)
    }

    /// Where a file ends after so many more bytes; `nil` beyond what was offered.
    private func end(of file: TransferReceiverStateMachine.Current, after count: UInt64) -> UInt64? {
        let (end, overflow) = file.end.addingReportingOverflow(count)
        return overflow || end > offer.entries.knownSize(at: file.index) ?? TransferLimits.fileSize ? nil : end
    }

    private func tooMuch(_ size: UInt64?) -> OnFrame {
        .fail(.violation("the sender sent more than the \(size ?? TransferLimits.fileSize) bytes it offered"))
    }

    fileprivate func end(_ index: Int, _ size: UInt64, _ root: MerkleRoot) -> OnFrame {
        guard let file = current, file.index == index, file.end == size,
            offer.entries.knownSize(at: index).map({ $0 == size }) ?? true
        else { return .fail(.violation("the sender ended a file at another size than it has")) }
        current = nil
        guard !refused.contains(index) else { return .none }
        unstored[index] = size
        return .end(index: index, size: size, root: root)
    }

    fileprivate func failed(_ index: Int, _ error: TransferError) -> OnFrame {
        let started = current?.index == index
        if started {
            current = nil
        } else {
            guard current == nil, next < files.count, files[next] == index else {
                return .fail(.violation("the sender gave up a file out of order"))
            }
            next += 1
        }
        guard !refused.contains(index) else { return .none }
        let failure = TransferFailure(index: index, path: offer.entries[index].path, error: bounded(error))
        summary.failed.append(failure)
        return .skip(failure, started: started)
    }

    fileprivate func refuse(_ index: Int, _ error: TransferError) -> TransferFailure? {
        let isFolder = offer.entries.kind(at: index) == .directory
        guard isFolder || current?.index == index || unstored.removeValue(forKey: index) != nil,
            refused.insert(index).inserted
        else { return nil }
        if isFolder { summary.directories -= 1 }
        let failure = TransferFailure(index: index, path: offer.entries[index].path, error: error)
        summary.failed.append(failure)
        return failure
    }

    /// The sender's words as far as there is room for them: they are kept to the end, a thousand bytes a file.
    private func bounded(_ error: TransferError) -> TransferError {
        reasonBytes += error.message.utf8.count
        guard reasonBytes > TransferLimits.reasonsBytes else { return error }
        return TransferError(error.code, "not sent, as others before it", from: error.speaker)
    }
}
