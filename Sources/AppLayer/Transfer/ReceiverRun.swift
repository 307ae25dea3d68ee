internal import Identity
internal import QUIC

/// One transfer of a ``TransferReceiver``. Its tasks: frames from the sender; deciding, then writing; making durable;
/// frames to the sender; the clock.
@NetworkActor
final class ReceiverRun {
    private let destination: TransferReceiver.Destination
    private let policy: ReceivePolicy
    private let sender: NodeID
    private let stream: any ByteStream
    private let clock: any NetworkClock
    private let timing: TransferTiming
    private let events: @NetworkActor @Sendable (TransferEvent) -> Void

    var descriptors = DescriptorBudget.shared
    private var machine: TransferReceiverStateMachine
    private var splitter = FrameSplitter()
    private let offered = Waiter<TransferOffer>()
    private let operations = Mailbox<WriteOperation>()
    private let written = Mailbox<WrittenFile>()
    private let frames = Mailbox<TransferReceiverFrame>()
    private var monitor: ReceiveMonitor
    private var sink: (any TransferSink)?
    private var isAccepted = false
    private var doneSummary: TransferSummary?
    private var failures: [TransferFailure] = []
    private var flushTimer: TimerToken?

    /// What an operation weighs beside its bytes: a sender that cuts its data small pays with its own window.
    private static let operationWeight = 512
    /// How long bytes wait for more before they go to the disk.
    private static let writeDelay = Duration.milliseconds(10)
    /// How often a partial file in use is tried again.
    private static let busyRetry = Duration.milliseconds(250)

    init(
        destination: TransferReceiver.Destination, policy: ReceivePolicy, sender: NodeID, stream: any ByteStream,
        clock: any NetworkClock, timing: TransferTiming,
        events: @escaping @NetworkActor @Sendable (TransferEvent) -> Void
    ) {
        (self.destination, self.policy, self.sender, self.stream) = (destination, policy, sender, stream)
        (self.clock, self.timing, self.events) = (clock, timing, events)
        machine = TransferReceiverStateMachine(maximumSize: policy.maximumSize ?? TransferLimits.fileSize)
        monitor = ReceiveMonitor(now: clock.now, stall: timing.stall)
    }

    func transfer() async throws -> TransferSummary {
        let commits = [@NetworkActor @Sendable () async throws -> TransferSummary?](
            repeating: { try await self.commitFiles() }, count: TransferLimits.commitWorkers)
        let outcome: TransferSummary? = try await concurrently(
            [
                { try await self.readFrames() },
                { try await self.decideAndWrite() },
                { try await self.writeFrames() },
                { try await self.watch() },
            ] + commits)
        guard let summary = outcome else { throw CancellationError() }
        stopTimer()
        report()
        await finishSink(confirmed: true)
        stream.finish()
        return summary
    }

    // MARK: From the sender

    private func readFrames() async throws -> TransferSummary? {
        while let chunk = try await stream.read() {
            monitor.handleRead(now: clock.now)
            try split(chunk)
            if operations.weight >= TransferLimits.writeBehind {
                try await operations.waitForRoom(below: TransferLimits.writeBehind)
                monitor.handleRead(now: clock.now)
            }
        }
        switch machine.handleEndOfStream() {
        case .complete: return doneSummary
        case .fail(let error): throw error
        }
    }

    private func split(_ chunk: Chunk) throws {
        var position = 0
        var isEnd = false
        while let piece = try splitter.next(in: chunk, from: &position) {
            switch piece {
            case .frame(let bytes):
                let action = machine.handle(try TransferSenderFrame(message: bytes))
                if case .end = action { isEnd = true } else { isEnd = false }
                try handle(action)
            case .data(let range): push(.data(chunk, range), bytes: range.count)
            }
        }
        // Perhaps the last file: its receipt should not wait for more bytes.
        if isEnd { operations.flush() }
    }

    private func handle(_ action: TransferReceiverStateMachine.OnFrame) throws {
        switch action {
        case .none: break
        case .decide(let offer): offered.resume(returning: offer)
        case .start(let index, let offset):
            monitor.resumed += offset
            push(.start(index: index, offset: offset))
        case .expectData(let count): splitter.expectData(count)
        case .end(let index, _, let root): push(.end(index: index, root: root))
        case .skip(let failure, let started):
            if started { push(.abandon) }
            events(.failed(failure))
            try handle(machine.handleIdle())
        case .done(let summary):
            doneSummary = summary
            frames.push(.done(files: summary.files.count))
        case .fail(let error): throw error
        }
    }

    private func push(_ operation: WriteOperation, bytes: Int = 0) {
        operations.push(operation, weight: bytes + Self.operationWeight)
        guard flushTimer == nil else { return }
        flushTimer = clock.schedule(after: Self.writeDelay) {
            self.flushTimer = nil
            self.operations.flush()
        }
    }

    private func stopTimer() {
        if let flushTimer { clock.cancel(flushTimer) }
        flushTimer = nil
    }

    // MARK: Deciding

    private func decideAndWrite() async throws -> TransferSummary? {
        let raw = try await offered.value()
        let offer = try await offload { try raw.withCheckedNames() }
        events(.offered(offer))
        monitor.total = offer.hasStream ? nil : offer.totalSize
        if let maximum = policy.maximumSize, offer.totalSize > maximum {
            throw TransferError(
                .tooLarge, "\(offer.totalSize) bytes; the receiver takes \(maximum)", limit: maximum)
        }
        if case .refuse(let code, let reason) = await policy.decide(offer, sender) {
            throw TransferError(code, reason)
        }
        return try await descriptors.withDescriptors(
            for: .receiving, atLeast: ReceivingDescriptors.least, upTo: ReceivingDescriptors.most
        ) { try await receive(offer, ReceivingDescriptors($0)) }
    }

    private func receive(_ offer: TransferOffer, _ descriptors: ReceivingDescriptors) async throws -> TransferSummary? {
        let sink = try await prepare(offer, partials: descriptors.partials)
        isAccepted = true
        for page in HeldPage.pages(sink.claims) { frames.push(.accept(page)) }
        events(.accepted)
        try handle(machine.handleAccepted(held: sink.claims))
        try await write(to: sink, files: descriptors.files)
        return nil
    }

    private func prepare(_ offer: TransferOffer, partials: Int) async throws -> any TransferSink {
        let (destination, sender) = (destination, sender)
        let sink: any TransferSink = try await offload {
            switch destination {
            case .folder(let folder): FolderSink(folder: folder, offer: offer, sender: sender, partials: partials)
            case .descriptor(let descriptor): DescriptorSink(descriptor: descriptor, offer: offer)
            }
        }
        self.sink = sink
        let patience = clock.now.advanced(by: timing.busy)
        while true {
            do {
                try await offload { try sink.prepare() }
                break
            } catch let error as TransferError where error.code == .busy && clock.now < patience {
                try await clock.sleep(for: Self.busyRetry)
            }
        }
        while try await offload({ try sink.hashHeld() }) { try Task.checkCancellation() }
        return sink
    }

    // MARK: To the disk

    /// - Parameter files: how many may be written and not yet durable.
    private func write(to sink: any TransferSink, files: Int) async throws {
        // Folders are made even when no file follows.
        _ = try await offload { try sink.write([]) }
        while true {
            // A file takes two operations at least, its start and its end: no more are opened than there is room for.
            try await written.waitForRoom(below: files)
            let most = 2 * (files - written.weight)
            guard let taken = try await operations.take(atLeast: TransferLimits.writeBatch, atMost: most) else {
                return
            }
            guard !taken.isEmpty else { continue }
            let results = try await offload { try sink.write(taken) }
            var weight = 0
            for operation in taken {
                weight += Self.operationWeight
                guard case .data(_, let range) = operation else { continue }
                weight += range.count
                monitor.stored += UInt64(range.count)
            }
            operations.release(weight)
            monitor.handleRead(now: clock.now)
            try handle(results)
        }
    }

    private func handle(_ results: [WriteResult]) throws {
        for result in results {
            switch result {
            case .written(let file):
                written.push(file)
            case .mismatch(let index, let root):
                frames.push(.mismatch(index: index, root: root))
                try handle(machine.handleMismatch(index: index))
            }
        }
    }

    private func commitFiles() async throws -> TransferSummary? {
        while let files = try await written.take(atMost: TransferLimits.commitBatch) {
            guard let sink, !files.isEmpty else { continue }
            let stored = try await offload { try sink.commit(files) }
            written.release(files.count)
            for (file, outcome) in zip(files, stored) {
                frames.push(.receipt(index: outcome.index, root: outcome.root, path: outcome.storedPath))
                events(.stored(outcome))
                try handle(machine.handleStored(outcome, resumedFrom: file.resumedFrom))
            }
        }
        return nil
    }

    // MARK: To the sender

    private func writeFrames() async throws -> TransferSummary? {
        while let taken = try await frames.take() {
            // One chunk for all there are: receipts of small files come in hundreds.
            var bytes: [UInt8] = []
            for frame in taken { bytes += try frame.encoded() }
            frames.release(taken.count)
            if !bytes.isEmpty { try await stream.write(Chunk(bytes)) }
        }
        return nil
    }

    // MARK: The clock

    private func watch() async throws -> TransferSummary? {
        var lastWord = clock.now
        var doneAt: NetworkInstant?
        while true {
            try await clock.sleep(for: timing.tick)
            report()
            if let summary = doneSummary {
                // The sender has nothing left to say but that it read the receipts.
                doneAt = doneAt ?? clock.now
                if let doneAt, clock.now.duration(since: doneAt) >= timing.stall { return summary }
                continue
            }
            if clock.now.duration(since: lastWord) >= timing.working {
                lastWord = clock.now
                frames.push(.working)
            }
            if monitor.isStalled(at: clock.now, isBusy: !isSenderExpected) {
                throw TransferError(.stalled, "nothing came for \(Int(timing.stall.seconds)) s")
            }
        }
    }

    /// Whether the next step is the sender's, and none is left here.
    private var isSenderExpected: Bool {
        operations.weight == 0 && written.weight == 0 && (isAccepted || !offered.isResolved)
    }

    private func report() {
        if let progress = monitor.progress(summary: doneSummary) { events(.progress(progress)) }
    }

    // MARK: The end

    private func finishSink(confirmed: Bool) async {
        guard let sink else { return }
        self.sink = nil
        _ = try? await offload { sink.finish(confirmed: confirmed) }
    }

    /// Tells the sender, as far as that is possible, and returns what to tell the caller.
    func giveUp(_ error: any Error, cancelled: Bool) async -> TransferError {
        stopTimer()
        await finishSink(confirmed: false)
        if let error = error as? StreamError {
            stream.reset(TransferStreamCode.failed)
            let isCancel = error.code == .reset(TransferStreamCode.cancelled)
            let message = isCancel ? "the sender cancelled the transfer" : "\(error)"
            return TransferError(
                isCancel ? .cancelled : .connectionLost, message, isFromPeer: isCancel, underlying: error)
        }
        let reason =
            cancelled
            ? TransferError(.cancelled, "the receiver cancelled the transfer")
            : error as? TransferError ?? TransferError(.cancelled, "\(error)", underlying: error)
        if reason.isFromPeer || reason.code == .connectionLost {
            stream.reset(reason.streamCode)
            return reason
        }
        let frame: TransferReceiverFrame = isAccepted ? .cancel(reason) : .refuse(reason)
        if let bytes = try? frame.encoded() {
            _ = try? await clock.withDeadline(timing.farewell) { [stream] in
                try await stream.write(Chunk(bytes))
                stream.finish()
                // The sender ends the stream when it has read why; until then it must be able to go on.
                while try await stream.read() != nil {}
            }
        }
        stream.reset(reason.streamCode)
        return reason
    }
}

extension TransferOffer {
    /// The offer with names in normal form C.
    ///
    /// - Throws: `.badName` for a name that may not be made, or when two entries have the same.
    func withCheckedNames() throws(TransferError) -> TransferOffer {
        var checked: [TransferEntry] = []
        var names: Set<[String]> = []
        for entry in entries {
            let path = try TransferName.checked(path: entry.path)
            guard names.insert(path).inserted else {
                throw TransferError(.badName, "two files are named \"\(entry.name)\"")
            }
            checked.append(
                TransferEntry(
                    kind: entry.kind, path: path, size: entry.size, isExecutable: entry.isExecutable,
                    modified: entry.modified))
        }
        return try TransferOffer(entries: checked)
    }
}

extension HeldPage {
    /// The claims in frames; one page at least.
    static func pages(_ files: [HeldFile]) -> [HeldPage] {
        var pages: [HeldPage] = []
        var page = HeldPage(files: [], more: true)
        var bytes = 0
        for file in files {
            bytes += file.encodedSize
            if bytes > TransferLimits.frame / 2, !page.files.isEmpty {
                pages.append(page)
                page.files = []
                bytes = file.encodedSize
            }
            page.files.append(file)
        }
        page.more = false
        pages.append(page)
        return pages
    }
}

/// Watches the bytes of a receiving side.
struct ReceiveMonitor {
    private let stall: Duration
    private var lastMoved: NetworkInstant
    private var lastReported: TransferProgress?
    /// Bytes in all, when known.
    var total: UInt64?
    /// Bytes that were held.
    var resumed: UInt64 = 0
    /// Bytes written.
    var stored: UInt64 = 0

    init(now: NetworkInstant, stall: Duration) {
        (lastMoved, self.stall) = (now, stall)
    }

    mutating func handleRead(now: NetworkInstant) { lastMoved = now }

    mutating func isStalled(at now: NetworkInstant, isBusy: Bool) -> Bool {
        if isBusy { lastMoved = now }
        return now.duration(since: lastMoved) >= stall
    }

    /// `nil` when nothing changed since the last time.
    mutating func progress(summary: TransferSummary?) -> TransferProgress? {
        let bytes = resumed + stored
        let progress = TransferProgress(bytes: bytes, total: total ?? summary?.bytes, resumedBytes: resumed)
        guard bytes > 0, progress != lastReported else { return nil }
        lastReported = progress
        return progress
    }
}
