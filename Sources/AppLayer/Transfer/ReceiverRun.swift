internal import DeP2PQUIC
internal import DeP2PReactor

/// One transfer of a ``TransferReceiver``: the half that faces the sender; ``ReceiverDisk`` is the other.
///
/// Its tasks: frames from the sender; deciding, then writing; making durable; frames to the sender; the clock.
@NetworkActor
final class ReceiverRun {
    private let policy: ReceivePolicy
    private let transfer: IncomingTransfer
    private let turn: TransferTurn?
    private let stream: any ByteStream
    private let clock: any NetworkClock
    private let timing: TransferTiming
    private let events: @NetworkActor @Sendable (TransferEvent) -> Void

    var descriptors = DescriptorBudget.shared
    private var machine: TransferReceiverStateMachine
    private var splitter = FrameSplitter()
    private let offered = Waiter<TransferOffer>()
    private let pulse: TransferPulse
    private let disk: ReceiverDisk
    /// When the sender could begin to offer: before, it waits for a place here.
    private var begunAt: NetworkInstant?
    private let frames = Mailbox<TransferReceiverFrame>()
    private var monitor: ReceiveMonitor
    private var isAccepted = false
    private var doneSummary: TransferSummary?
    /// Whether the sender has said that it knows that all is stored: until then it may send the same again.
    private var isConfirmed = false
    private var frameCount = 0
    /// How the stream failed, when it did: then neither side cancelled.
    private var streamFailure: StreamError?

    /// Frames read before the thread looks at the network again: a few hundred microseconds of it.
    private static let framesPerTurn = 128

    init(
        destination: TransferReceiver.Destination, policy: ReceivePolicy, transfer: IncomingTransfer,
        turn: TransferTurn?, stream: any ByteStream, clock: any NetworkClock, timing: TransferTiming,
        events: @escaping @NetworkActor @Sendable (TransferEvent) -> Void
    ) {
        (self.policy, self.transfer, self.stream) = (policy, transfer, stream)
        (self.turn, self.clock, self.timing, self.events) = (turn, clock, timing, events)
        pulse = TransferPulse()
        disk = ReceiverDisk(
            destination: destination, transfer: transfer, pulse: pulse, clock: clock, timing: timing)
        machine = TransferReceiverStateMachine(maximumSize: policy.maximumSize ?? TransferLimits.fileSize)
        monitor = ReceiveMonitor(now: clock.now, stall: timing.stall)
    }

    func run() async throws -> TransferSummary {
        let commits = [@NetworkActor @Sendable () async throws -> TransferSummary?](
            repeating: { try await self.commit() }, count: TransferLimits.commitWorkers)
        let outcome: TransferSummary? = try await concurrently(
            [
                { try await self.readFrames() },
                { try await self.decideAndWrite() },
                { try await self.writeFrames() },
                { try await self.watch() },
                { try await self.endForOthers() },
            ] + commits)
        guard let summary = outcome else { throw CancellationError() }
        disk.stopTimer()
        report()
        await disk.finish(confirmed: isConfirmed)
        stream.finish()
        return summary
    }

    // MARK: From the sender

    private func readFrames() async throws -> TransferSummary? {
        if case .refuse(let code, let reason) = await policy.admit(transfer) { throw TransferError(code, reason) }
        try await turn?.wait()
        begunAt = clock.now
        monitor.handleRead(now: clock.now)
        while let chunk = try await read() {
            monitor.handleRead(now: clock.now)
            // What a dead sender left to be read is no sign of life.
            pulse.heard(at: stream.peerHeardAt ?? clock.now)
            try await split(chunk)
            if disk.waiting >= TransferLimits.writeBehind {
                try await disk.waitForRoom()
                monitor.handleRead(now: clock.now)
            }
        }
        switch machine.handleEndOfStream() {
        case .complete: return doneSummary
        case .fail(let error): throw error
        }
    }

    private func read() async throws -> Chunk? {
        do {
            let chunk = try await stream.read()
            if chunk == nil { isConfirmed = true }
            return chunk
        } catch let error as StreamError where error.code == .connectionClosed && doneSummary != nil {
            // All that was offered is stored; the sender had nothing left to say but that it knows, which is open then.
            return nil
        } catch {
            streamFailure = streamFailure ?? (error as? StreamError)
            throw error
        }
    }

    private func split(_ chunk: Chunk) async throws {
        var position = 0
        var isEnd = false
        while position < chunk.count {
            if takeSmallFile(in: chunk, from: &position) {
                isEnd = true
            } else if let piece = try splitter.next(in: chunk, from: &position) {
                switch piece {
                case .frame(let bytes): isEnd = try handle(try await decoded(bytes), bytes: bytes.count)
                case .data(let range): disk.push(.data(chunk, range))
                }
            }
            frameCount += 1
            // A chunk may be nothing but frames: others want the thread too. A timer that is due lets the network
            // in between; a yield would not.
            if frameCount.isMultiple(of: Self.framesPerTurn) { try await clock.sleep(for: .zero) }
        }
        // Perhaps the last file: its receipt should not wait for more bytes.
        if isEnd { disk.flush() }
    }

    /// Takes a small file that lies whole at `position`, which moves behind it.
    ///
    /// - Returns: false when what is there has to be taken frame by frame.
    private func takeSmallFile(in chunk: Chunk, from position: inout Int) -> Bool {
        var end = position
        guard isAccepted, splitter.isBetweenFrames, let file = SmallFile(in: chunk, at: position, end: &end),
            disk.takesWhole(file.index), machine.handleWhole(index: file.index, size: UInt64(file.range.count))
        else { return false }
        position = end
        disk.push(file)
        return true
    }

    /// A page of an offer may hold half a million entries, which take longer than their bytes.
    private func decoded(_ bytes: [UInt8]) async throws -> TransferSenderFrame {
        guard !isAccepted || bytes.count <= TransferLimits.fileFrame else {
            throw TransferError.violation("the sender sent a frame of \(bytes.count) bytes with the files")
        }
        guard bytes.count > TransferLimits.largeFrame else { return try TransferSenderFrame(message: bytes) }
        return try await offload { try TransferSenderFrame(message: bytes) }
    }

    /// - Returns: whether it was the end of a file.
    private func handle(_ frame: TransferSenderFrame, bytes: Int) throws -> Bool {
        switch frame {
        case .offer(let page):
            monitor.handleOffer(bytes: bytes)
            try turn?.book(bytes + page.entries.count * TransferEntries.overhead)
        case .working where !monitor.handleEmptyFrame(now: clock.now):
            throw TransferError.violation("the sender sent a flood of empty frames")
        default: break
        }
        let action = machine.handle(frame)
        try handle(action)
        if case .end = action { return true }
        return false
    }

    private func handle(_ action: TransferReceiverStateMachine.OnFrame) throws {
        switch action {
        case .none: break
        case .decide(let offer): offered.resume(returning: offer)
        case .start(let index, let offset):
            monitor.resumed += offset
            disk.push(.start(index: index, offset: offset))
        case .expectData(let count): splitter.expectData(count)
        case .zeros(let count): disk.push(.zeros(count))
        case .end(let index, _, let root): disk.push(.end(index: index, root: root))
        case .skip(let failure, let started):
            if started { disk.push(.abandon) }
            events(.failed(failure))
            try handle(machine.handleIdle())
        case .done(let summary):
            doneSummary = summary
            frames.push(.done(files: summary.files.count))
        case .fail(let error): throw error
        }
    }

    // MARK: Deciding

    private func decideAndWrite() async throws -> TransferSummary? {
        let raw = try await offered.value()
        let offer = try await offload { try raw.withCheckedNames() }
        events(.offered(offer))
        monitor.total = offer.hasStream ? nil : offer.totalSize
        if let maximum = policy.maximumSize, offer.totalSize > maximum {
            throw TransferError(.tooLarge, "\(offer.totalSize) bytes; it takes at most \(maximum)", limit: maximum)
        }
        if case .refuse(let code, let reason) = await policy.decide(offer, transfer) {
            throw TransferError(code, reason)
        }
        turn?.setStarving(true)
        return try await descriptors.withDescriptors(
            for: .receiving, atLeast: ReceivingDescriptors.least, upTo: ReceivingDescriptors.most, of: transfer.sender
        ) { count in
            turn?.setStarving(false)
            return try await receive(offer, ReceivingDescriptors(count))
        }
    }

    private func receive(_ offer: TransferOffer, _ descriptors: ReceivingDescriptors) async throws -> TransferSummary? {
        let (claims, takesZeros, refused) = try await disk.prepare(
            offer, descriptors, mayRefuseFiles: machine.takesRefusals)
        isAccepted = true
        for page in HeldPage.pages(claims, takesZeros: takesZeros) { frames.push(.accept(page)) }
        stream.readsInBulk()
        events(.accepted)
        for failure in refused {
            frames.push(.refused(index: failure.index, failure.error))
            events(.failed(failure))
        }
        try handle(machine.handleAccepted(held: claims, takesZeros: takesZeros, refused: refused))
        let stores = [@NetworkActor @Sendable () async throws -> TransferSummary?](
            repeating: { try await self.storeSmallFiles() }, count: descriptors.smallFiles)
        return try await concurrently([{ try await self.write() }] + stores)
    }

    private func write() async throws -> TransferSummary? {
        try await disk.write(when: { try await self.waitForFrames() }) { try self.handle($0) }
        return nil
    }

    private func storeSmallFiles() async throws -> TransferSummary? {
        try await disk.storeSmallFiles(when: {
            try await self.waitForFrames()
            try await self.policy.pace()
        }) {
            try self.handle($0)
        }
        return nil
    }

    private func waitForFrames() async throws { try await frames.waitForRoom(below: TransferLimits.frameBacklog) }

    private func commit() async throws -> TransferSummary? {
        try await disk.commit(when: { try await self.policy.pace() }) { try self.handle($0) }
        return nil
    }

    private func handle(_ outcome: ReceiverDisk.Outcome) throws {
        switch outcome {
        case .wrote(let bytes, let zeros):
            monitor.stored += bytes
            monitor.zeros += zeros
            monitor.handleRead(now: clock.now)
        case .mismatch(let index, let root):
            frames.push(.mismatch(index: index, root: root))
            try handle(machine.handleMismatch(index: index))
        case .refused(let index, let error):
            let (failure, action) = machine.handleRefused(index: index, error: error)
            if let failure {
                frames.push(.refused(index: index, error))
                events(.failed(failure))
            }
            try handle(action)
        case .stored(let file, let resumed):
            frames.push(.receipt(index: file.index, root: file.root, path: file.storedPath))
            events(.stored(file))
            try handle(machine.handleStored(file, resumedFrom: resumed))
        }
    }

    // MARK: To the sender

    private func writeFrames() async throws -> TransferSummary? {
        while let taken = try await frames.take() {
            // One chunk for all there are: receipts of small files come in hundreds.
            var bytes: [UInt8] = []
            for frame in taken where !frame.appendFileFrame(to: &bytes) { bytes += try frame.encodedBySchema() }
            frames.release(taken.count)
            if !bytes.isEmpty { try await write(Chunk(bytes)) }
        }
        return nil
    }

    private func write(_ chunk: Chunk) async throws {
        do {
            try await stream.write(chunk)
        } catch {
            streamFailure = streamFailure ?? (error as? StreamError)
            throw error
        }
    }

    // MARK: The clock

    private func watch() async throws -> TransferSummary? {
        var lastWord = clock.now
        var doneAt: NetworkInstant?
        while true {
            // Time itself: what has to be said, and given up, in how much of it.
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
                frames.push(.working(waiting: isSenderExpected ? 0 : UInt64(max(disk.waiting, 1))))
            }
            if monitor.isStalled(at: clock.now, isBusy: !isSenderExpected) {
                throw stalled()
            }
            if let begunAt, !offered.isResolved, monitor.isOfferTooSlow(since: begunAt, at: clock.now) {
                throw TransferError(.stalled, "the offer came too slowly")
            }
        }
    }

    /// A sender that is heard sends nothing; of one that has gone nothing is heard, whether its connection has ended or not.
    private func stalled() -> TransferError {
        let time = "\(Int(timing.stall.seconds)) s"
        let silence = stream.peerHeardAt.map { clock.now.duration(since: $0) } ?? .zero
        let isHeard = silence < timing.stall - timing.working
        if isHeard { return TransferError(.stalled, "nothing came for \(time)") }
        return TransferError(.connectionLost, "the sender is gone: nothing came for \(time)")
    }

    /// Whether the next step is the sender's, and none is left here.
    private var isSenderExpected: Bool {
        begunAt != nil && disk.isIdle && (isAccepted || !offered.isResolved)
    }

    private func endForOthers() async throws -> TransferSummary? {
        guard let turn else { return nil }
        throw try await turn.ended.value()
    }

    private func report() {
        if let progress = monitor.progress(summary: doneSummary) { events(.progress(progress)) }
    }

    // MARK: The end

    /// Tells the sender, as far as that is possible, and returns what to tell the caller.
    func giveUp(_ error: any Error, cancelled: Bool) async -> TransferError {
        disk.stopTimer()
        monitor.stored = max(monitor.stored, disk.passedOn)
        report()
        await disk.finish(confirmed: false)
        // The end of a connection cancels what runs on it: that is not this side's wish.
        if let failure = (error as? StreamError) ?? streamFailure { return close(TransferError(lost: failure)) }
        let reason = TransferError(receiving: error, cancelled: cancelled)
        if reason.isFromPeer || reason.code == .connectionLost { return close(reason) }
        let frame: TransferReceiverFrame = isAccepted ? .cancel(reason) : .refuse(reason)
        do {
            try await clock.withDeadline(timing.farewell) { [stream] in
                try await stream.write(Chunk(frame.encoded()))
                stream.finish()
                try await self.readToTheEnd(of: reason)
            }
        } catch let failure as StreamError where cancelled && failure.code == .connectionClosed {
            return close(TransferError(lost: failure))
        } catch {}
        return close(reason)
    }

    /// The sender ends the stream when it has read why. What it had sent by then is read; who goes on is told to stop, and
    /// has the rest of the farewell to read.
    private func readToTheEnd(of reason: TransferError) async throws {
        var allowance = TransferLimits.farewellBytes
        while let chunk = try await stream.read() {
            allowance -= chunk.count
            guard allowance < 0 else { continue }
            stream.stopReading(reason.streamCode)
            // Time itself: what the farewell has left of it.
            try await clock.sleep(for: timing.farewell)
        }
    }

    private func close(_ error: TransferError) -> TransferError {
        stream.reset(error.streamCode)
        return error
    }
}
