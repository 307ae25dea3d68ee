package import DeP2PQUIC
package import DeP2PReactor
internal import DeP2PSessions

/// Sends files, folders or a stream over one stream of a connection, and ends when the receiver has verified all.
@NetworkActor
package final class TransferSender {
    private let source: SendSource
    private let timing: TransferTiming
    private let descriptors: DescriptorBudget
    /// Ends once the receiver has ended its side too, or was given the time to; there is one when ``run(over:clock:events:)`` has
    /// succeeded. Who closes the connection before leaves the receiver to conclude that its receipts were read.
    package private(set) var parting: Task<Void, Never>?

    package convenience init(source: SendSource, timing: TransferTiming = TransferTiming()) {
        self.init(source: source, timing: timing, descriptors: .shared)
    }

    init(source: SendSource, timing: TransferTiming = TransferTiming(), descriptors: DescriptorBudget) {
        (self.source, self.timing, self.descriptors) = (source, timing, descriptors)
    }

    /// Runs the transfer, once; the stream is finished or reset when this returns.
    ///
    /// Files that could not be read or that changed meanwhile are in the summary's `failed`; the others arrived.
    /// - Throws: ``TransferError``: what the receiver refused or cancelled with, `.stalled`, `.connectionLost`,
    ///   `.cancelled` when the task is cancelled, `.protocolViolation`.
    package func run(
        over stream: any ByteStream, clock: any NetworkClock,
        events: @escaping @NetworkActor @Sendable (TransferEvent) -> Void = { _ in }
    ) async throws -> TransferSummary {
        let run = SenderRun(
            source: source, stream: stream, clock: clock, timing: timing, descriptors: descriptors, events: events)
        do {
            let summary = try await run.transfer()
            parting = run.part()
            return summary
        } catch {
            let cancelled = Task.isCancelled
            // Saying goodbye must not be cancelled itself.
            throw await networkTask { await run.giveUp(error, cancelled: cancelled) }.value
        }
    }
}

/// One transfer of a ``TransferSender``. Four tasks: frames from the receiver, reading ahead, writing, the clock.
@NetworkActor
private final class SenderRun {
    private let source: SendSource
    private let stream: any ByteStream
    private let clock: any NetworkClock
    private let timing: TransferTiming
    private let descriptors: DescriptorBudget
    private let events: @NetworkActor @Sendable (TransferEvent) -> Void

    private var machine: TransferSenderStateMachine
    private var splitter = FrameSplitter()
    private let accepted = Waiter<(held: TransferSenderStateMachine.Held, takesZeros: Bool)>()
    private let batches = Mailbox<SourceBatch>()
    private var monitor: SendMonitor
    private let refused = RefusedFiles()
    private var isWriting = false
    private var isAwaitingReceiver = true

    init(
        source: SendSource, stream: any ByteStream, clock: any NetworkClock, timing: TransferTiming,
        descriptors: DescriptorBudget, events: @escaping @NetworkActor @Sendable (TransferEvent) -> Void
    ) {
        (self.source, self.stream, self.clock, self.timing, self.events) = (source, stream, clock, timing, events)
        self.descriptors = descriptors
        machine = TransferSenderStateMachine(offer: source.offer)
        monitor = SendMonitor(
            acknowledgedBefore: stream.acknowledgedBytes, now: clock.now, stall: timing.stall,
            total: source.offer.hasStream ? nil : source.offer.totalSize)
    }

    func transfer() async throws -> TransferSummary {
        // A relay that is lost before the peer has answered is why it does not: whoever asks is told that, soon.
        stream.bearsSilenceOnceAgreed()
        let outcome: TransferSummary? = try await concurrently([
            { try await self.readFrames() },
            {
                try await self.writeAll()
                return nil
            },
            { try await self.watch() },
        ])
        guard let summary = outcome else { throw CancellationError() }
        report()
        return summary
    }

    /// Tells the receiver that its receipts were read.
    func part() -> Task<Void, Never> {
        stream.finish()
        return networkTask { [clock, stream, timing] in
            // All has arrived: how the stream ends now is nobody's business.
            _ = try? await clock.withDeadline(timing.farewell) {
                while try await stream.read() != nil {}
            }
        }
    }

    // MARK: From the receiver

    private func readFrames() async throws -> TransferSummary {
        while let chunk = try await stream.read() {
            var position = 0
            while let piece = try splitter.next(in: chunk, from: &position) {
                guard case .frame(let bytes) = piece else { continue }
                if let summary = try handle(try TransferReceiverFrame(message: bytes)) { return summary }
            }
        }
        switch machine.handleEndOfStream() {
        case .none: throw TransferError(.connectionLost, "the receiver ended the transfer")
        case .fail(let error): throw error
        }
    }

    private func handle(_ frame: TransferReceiverFrame) throws -> TransferSummary? {
        if case .working = frame, !monitor.handleEmptyFrame(now: clock.now) {
            throw TransferError.violation("the receiver sent a flood of empty frames")
        }
        let action = machine.handle(frame)
        monitor.handleFrame(frame, now: clock.now)
        switch action {
        case .none, .progress: break
        case .startSending(let held, let takesZeros):
            isAwaitingReceiver = false
            events(.accepted)
            accepted.resume(returning: (held, takesZeros))
        case .stored(let file): events(.stored(file))
        case .fileFailed(let failure): events(.failed(failure))
        case .fileRefused(let failure):
            refused.insert(failure.index)
            events(.failed(failure))
        case .finish(var summary):
            (summary.skipped, summary.unsent) = (source.skipped, source.unsent)
            monitor.handleFinished(summary)
            return summary
        case .fail(let error): throw error
        }
        return nil
    }

    // MARK: To the receiver

    private func writeAll() async throws {
        for page in source.offer.pages() { try await write(Chunk(TransferSenderFrame.offer(page).encoded())) }
        let (held, takesZeros) = try await accepted.value()
        let reader = SourceReader(source: source, held: held, takesZeros: takesZeros, refused: refused)
        let _: Never? = try await concurrently([
            {
                try await self.readAhead(reader)
                return nil
            },
            {
                try await self.writeBatches()
                return nil
            },
        ])
        isAwaitingReceiver = true
    }

    private func readAhead(_ reader: SourceReader) async throws {
        defer { batches.close() }
        let needed = DescriptorBudget.perSending
        try await descriptors.withDescriptors(for: .sending, atLeast: needed, upTo: needed) { _ in
            try await readAll(reader)
        }
    }

    private func readAll(_ reader: SourceReader) async throws {
        while true {
            let batch = try await offload { try reader.nextBatch() }
            try Task.checkCancellation()
            batches.push(batch, weight: max(batch.chunks.reduce(0) { $0 + $1.count }, 1))
            if batch.isLast { return }
            try await batches.waitForRoom(below: TransferLimits.readAhead)
        }
    }

    private func writeBatches() async throws {
        while let taken = try await batches.take() {
            // Something silent takes long (a slow disk, an idle pipe, a comparison): the receiver should know.
            if taken.allSatisfy(\.chunks.isEmpty), monitor.silence(at: clock.now) >= timing.working {
                try await write(Chunk(TransferSenderFrame.working.encoded()))
            }
            for batch in taken {
                monitor.resumed += batch.resumed
                monitor.zeros += batch.zeros
                for event in batch.events { handle(event) }
                // Before the last bytes go out: the receiver's end may be here before this task runs again.
                if batch.isLast { machine.handleSourceEnd() }
                for chunk in batch.chunks { try await write(chunk) }
                batches.release(max(batch.chunks.reduce(0) { $0 + $1.count }, 1))
            }
        }
    }

    private func handle(_ event: SourceEvent) {
        switch event {
        case .sent(let index, let size, let root, let offset):
            machine.handleSent(index: index, size: size, root: root, resumedFrom: offset)
        case .unsent(let index, let error):
            if let failure = machine.handleUnsent(index: index, error: error) { events(.failed(failure)) }
        }
    }

    private func write(_ chunk: Chunk) async throws {
        monitor.handleWrite(chunk.count, now: clock.now)
        isWriting = true
        try await stream.write(chunk)
        isWriting = false
    }

    // MARK: The clock

    private func watch() async throws -> TransferSummary? {
        while true {
            // Time itself: what has to be said, and given up, in how much of it.
            try await clock.sleep(for: timing.tick)
            report()
            if monitor.silence(at: clock.now) >= timing.working { batches.flush() }
            if monitor.isStalled(
                acknowledged: stream.acknowledgedBytes, now: clock.now, isAwaitingReceiver: isAwaitingReceiver)
            {
                throw TransferError(.stalled, "no byte was acknowledged for \(Int(timing.stall.seconds)) s")
            }
        }
    }

    private func report() {
        if let progress = monitor.progress(acknowledged: stream.acknowledgedBytes) { events(.progress(progress)) }
    }

    // MARK: The end

    /// Tells the receiver, as far as that is possible, and returns what to tell the caller.
    func giveUp(_ error: any Error, cancelled: Bool) async -> TransferError {
        if let error = error as? StreamError {
            // The receiver says why before it stops reading.
            let word = await lastWord()
            if let word, word.code != .connectionLost { return close(word) }
            return close(TransferError(.connectionLost, "\(error)", underlying: error))
        }
        let reason = Self.reason(error, cancelled: cancelled)
        if reason.isFromPeer || reason.code == .connectionLost { return close(reason) }
        // A farewell: the transfer has failed already, and its own error is the one to tell.
        if !isWriting, let frame = try? TransferSenderFrame.cancel(reason).encoded() {
            _ = try? await clock.withDeadline(timing.farewell) { [stream] in
                try await stream.write(Chunk(frame))
                stream.finish()
                while try await stream.read() != nil {}
            }
        }
        return close(reason)
    }

    /// What to tell: words of this protocol only, as an unknown error's may be anything.
    private static func reason(_ error: any Error, cancelled: Bool) -> TransferError {
        if cancelled || error is CancellationError {
            return TransferError(.cancelled, "the sender cancelled the transfer", underlying: error)
        }
        if let error = error as? SessionError { return TransferError(error) }
        return error as? TransferError ?? TransferError(.failed, "an internal error", underlying: error)
    }

    private func lastWord() async -> TransferError? {
        do {
            _ = try await clock.withDeadline(timing.farewell) { try await self.readFrames() }
            return nil
        } catch {
            return error as? TransferError
        }
    }

    private func close(_ error: TransferError) -> TransferError {
        stream.reset(error.streamCode)
        return error
    }
}

extension TransferError {
    /// What kept the two sides from agreeing on this protocol.
    fileprivate init(_ error: SessionError) {
        switch error.code {
        case .unsupported, .notMember: self.init(.notAllowed, "it takes no files", from: .receiver, underlying: error)
        case .busy: self.init(.busy, error.description, isFromPeer: true, underlying: error)
        case .timeout: self.init(.stalled, error.description, underlying: error)
        case .violation: self.init(.protocolViolation, error.description, underlying: error)
        case .closed, .reset: self.init(.connectionLost, error.description, underlying: error)
        }
    }

    /// What a stream is reset with.
    var streamCode: UInt64 {
        switch code {
        case .cancelled: TransferStreamCode.cancelled
        case .stalled: TransferStreamCode.stalled
        case .protocolViolation: TransferStreamCode.protocolViolation
        case .notAllowed, .tooLarge, .badName, .busy, .oneFileOnly, .badOffer: TransferStreamCode.refused
        default: TransferStreamCode.failed
        }
    }
}
