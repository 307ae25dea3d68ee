import DeP2P

/// One run of `dep2p listen`: takes what comes, says so, and knows when it was enough.
///
/// Calling order: ``begin(on:_:_:)``, then ``wait(on:timeout:)``.
@NetworkActor
final class Reception {
    /// A transfer under way, as far as it is known.
    private struct Incoming {
        /// Which transfer, and whose: the first fields of each of its events.
        let fields: [JSONField]
        var offer: TransferOffer?
        var start: NetworkInstant
        var isAccepted = false
        var hasPlace = false
        var bytes: UInt64 = 0
        /// What it brings, escaped for a terminal.
        var name: String?
        var meter: ProgressMeter?
    }

    private let plan: ListenPlan
    private let output: Output
    private let done = Waiter<Void>()
    private let place: OncePlace
    private let writer = MessageWriter()
    private var clock: (any NetworkClock)?
    private var incoming: [IncomingTransfer: Incoming] = [:]
    private var files = 0
    private var bytes: UInt64 = 0
    private var messages = 0

    init(_ plan: ListenPlan, _ output: Output) {
        self.plan = plan
        self.output = output
        place = OncePlace(once: plan.once)
    }

    /// The fields of the result.
    var fields: [JSONField] { [.int("files", files), .int("bytes", bytes), .int("messages", messages)] }

    /// - Parameter destination: nil takes messages only.
    func begin(on node: Node, _ destination: TransferReceiver.Destination?, _ events: EventReader) throws {
        clock = node.clock
        if !plan.allowed.isEmpty { refuseOthers(on: node) }
        node.onAnyMessage { [self] message in try await take(message) }
        events.observe { [output] event in
            guard case .messageFailed(let sender, _, let reason) = event else { return }
            output.note("a message from \(sender) was not taken: \(TerminalText.escape(reason))")
        }
        guard let destination else { return }
        var policy = ReceivePolicy(
            maximumSize: plan.maximumBytes, decide: { [self] _, transfer in await decide(transfer) },
            admit: { [self] in await admit($0) })
        policy.pace = { [output, clock = node.clock] in
            // Each file is told of, and none of that is dropped.
            while output.isBacklogged { try await clock.sleep(for: Self.backlogPause) }
        }
        node.receiveTransfers(
            to: destination, policy: policy, limits: limits, events: { [self] in handle($0, of: $1) },
            completion: { [self] in complete($0, of: $1) })
    }

    private var limits: TransferQueueLimits? {
        plan.once ? .oneAtATime : plan.transfers.map { TransferQueueLimits(places: $0) }
    }

    /// Whoever is not allowed gets no connection, and none through a relay either. The connections that this node made
    /// itself are to its relays: they stay, but nothing is received over them.
    private func refuseOthers(on node: Node) {
        node.acceptCircuits { [self] source in isAllowed(source) }
        node.connections.onSession { [self] session in
            guard !session.isInitiator, !isAllowed(session.remoteNodeID) else { return }
            session.close(.notAllowed, reason: "this node does not receive from you")
        }
    }

    private func isAllowed(_ sender: NodeID) -> Bool { plan.allowed.isEmpty || plan.allowed.contains(sender) }

    /// Waits until the one thing has arrived; without `--once`, for ever.
    ///
    /// - Parameter timeout: how long to wait for it to begin. What is arriving by then may go on to its end.
    func wait(on node: Node, timeout: Duration?) async throws {
        guard let timeout else { return try await done.value() }
        try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask { [done] in
                try await done.value()
                return true
            }
            group.addTask { [self] in
                try await node.clock.sleep(for: timeout)
                try await place.waitUntilFree()
                return false
            }
            defer { group.cancelAll() }
            if try await group.next() == true || done.isResolved { return }
            throw CLIError(
                .timeout, "nothing arrived in \(FixedPoint.duration(timeout))", hint: "--timeout 0 waits for ever",
                fields: fields)
        }
    }

    private func finishOne() {
        place.leave(filled: true)
        if plan.once { done.resume(returning: ()) }
    }

    // MARK: Messages

    private func take(_ message: IncomingMessage) async throws -> [UInt8]? {
        guard isAllowed(message.from) else { throw MessageRefusal("it does not receive from you") }
        guard !output.isBacklogged else { throw MessageRefusal(Self.unread) }
        guard try await takePlace() else { throw MessageRefusal("one thing was wanted, and it came or is coming") }
        let text = await text(of: message)
        guard !output.isBacklogged else {
            place.leave(filled: false)
            throw MessageRefusal(Self.unread)
        }
        switch text {
        case .field(let field):
            let from = message.from.description
            output.record("message", [.string("from", from), .string("protocol", message.protocolName), field])
        // One line whatever the text: a line feed in it could begin what looks like another sender's message.
        case .line(let line): output.result("\(message.from): \(line)")
        case .content: output.content(message.body)
        }
        messages += 1
        bytes += UInt64(message.body.count)
        finishOne()
        return plan.reply
    }

    /// The message as it is printed. A large one takes as long as a thousand packets: elsewhere, and one at a time.
    private func text(of message: IncomingMessage) async -> MessageText {
        if case .standardOutput = plan.destination { return .content }
        guard message.body.count > Self.quickBytes else { return MessageText(message.body, isJSON: output.isJSON) }
        return await writer.text(of: message.body, isJSON: output.isJSON)
    }

    /// Bytes of a message that are printed as quickly as its packets are read.
    private nonisolated static let quickBytes = 16 * 1024

    /// A message waits a little for a transfer that may break off; its sender has a timeout of its own.
    private func takePlace() async throws -> Bool {
        guard let clock else { return false }
        do {
            return try await clock.withDeadline(Self.messagePatience) { [place] in await place.take() }
        } catch is DeadlineExceeded {
            return false
        }
    }

    private static let messagePatience = Duration.seconds(5)
    private nonisolated static let backlogPause = Duration.milliseconds(100)
    private nonisolated static let unread = "nobody reads what it has received so far"

    // MARK: Transfers

    /// Before anything of the transfer is read.
    private func admit(_ transfer: IncomingTransfer) -> ReceivePolicy.Decision {
        guard let clock else { return .refuse(.busy, "it is about to begin") }
        guard isAllowed(transfer.sender) else {
            return .refuse(.notAllowed, "it does not receive from you")
        }
        incoming[transfer] = Incoming(fields: Self.fields(of: transfer), start: clock.now)
        return .accept
    }

    private func decide(_ transfer: IncomingTransfer) async -> ReceivePolicy.Decision {
        guard !output.isBacklogged else { return .refuse(.busy, Self.unread) }
        guard await place.take() else { return .refuse(.busy, "it wanted one thing, and that came") }
        guard incoming[transfer] != nil else {
            // The transfer broke off while it waited.
            place.leave(filled: false)
            return .refuse(.cancelled, "the transfer is over")
        }
        incoming[transfer]?.hasPlace = true
        return .accept
    }

    private func handle(_ event: TransferEvent, of transfer: IncomingTransfer) {
        switch event {
        case .offered(let offer):
            guard let clock else { return }
            let total = offer.hasStream ? nil : offer.totalSize
            incoming[transfer]?.offer = offer
            incoming[transfer]?.start = clock.now
            let name = Delivery.name(of: offer)
            incoming[transfer]?.name = name
            incoming[transfer]?.meter = ProgressMeter(name: name, total: total)
        case .accepted:
            incoming[transfer]?.isAccepted = true
            sayOffer(of: transfer, refusal: nil)
        case .progress(let progress): report(progress, of: transfer)
        case .stored(let file): store(file, of: transfer)
        case .failed(let failure):
            let name = TerminalText.escape(failure.path.joined(separator: "/"))
            output.note("not received: \(name): \(TerminalText.escape(failure.error.description))")
        }
    }

    private func sayOffer(of transfer: IncomingTransfer, refusal: String?) {
        let offer = incoming[transfer]?.offer
        output.event(
            "offer",
            fields(of: transfer) + [
                .string("name", offer?.entries.first?.path.first),
                JSONField("files", offer.map { .int(Int64($0.fileCount)) } ?? .null),
                JSONField("bytes", offer.flatMap { $0.hasStream ? nil : .int(Int64(clamping: $0.totalSize)) } ?? .null),
                .bool("accepted", refusal == nil), .string("reason", refusal),
            ])
        let size = offer.map { $0.hasStream ? "" : " (\(FixedPoint.bytes($0.totalSize)))" } ?? ""
        let what = "\(incoming[transfer]?.name ?? "a transfer")\(size) from \(transfer.sender)"
        output.note(refusal.map { "refused \(what): \($0)" } ?? "receiving \(what)")
    }

    private func fields(of transfer: IncomingTransfer) -> [JSONField] {
        incoming[transfer]?.fields ?? Self.fields(of: transfer)
    }

    private static func fields(of transfer: IncomingTransfer) -> [JSONField] {
        [.int("transfer", transfer.id), .string("from", transfer.sender.description)]
    }

    private func report(_ progress: TransferProgress, of transfer: IncomingTransfer) {
        guard let clock, var known = incoming[transfer], var meter = known.meter else { return }
        known.bytes = progress.bytes
        let time = clock.now.duration(since: known.start)
        let due = meter.update(bytes: progress.bytes, spared: progress.sparedBytes, at: time)
        known.meter = meter
        incoming[transfer] = known
        if let line = due.line { output.progress(line) }
        if let fields = due.event { output.event("progress", self.fields(of: transfer) + fields) }
    }

    private func store(_ file: TransferredFile, of transfer: IncomingTransfer) {
        files += 1
        bytes += file.size
        let path = file.location ?? Array(file.storedPath.joined(separator: "/").utf8)
        if output.isJSON {
            output.record(
                "file",
                fields(of: transfer) + [
                    .path("path", path), .int("bytes", file.size), .string("root", file.root.hex),
                ])
        } else if case .directory = plan.destination {
            output.result(TerminalText.escape(path))
        }
    }

    private func complete(_ result: Result<TransferSummary, DeP2PError>, of transfer: IncomingTransfer) {
        let known = incoming.removeValue(forKey: transfer)
        output.progress(nil)
        switch result {
        case .success(let summary):
            sayEnd(of: transfer, summary, known)
            if let failure = summary.failed.first {
                leavePlace(CLIError(transfer: failure.error), written: known?.bytes ?? 0, isOwn: false)
            } else {
                finishOne()
            }
        case .failure(let error):
            let mapped = CLIError(error)
            if known?.isAccepted ?? false {
                output.record("transfer", fields(of: transfer) + Self.end(code: mapped.code.name, mapped.message))
                output.note("transfer from \(transfer.sender) ended: \(mapped.message)")
            } else {
                incoming[transfer] = known
                sayOffer(of: transfer, refusal: mapped.message)
                incoming[transfer] = nil
            }
            guard known?.hasPlace ?? false else { return }
            leavePlace(mapped, written: known?.bytes ?? 0, isOwn: Self.isOwn(error))
        }
    }

    /// What did not arrive whole leaves its place to another, but where it can't be taken back: the one thing that was
    /// wanted would come again behind it on standard output; and where that can't be written, nothing that comes can be.
    private func leavePlace(_ error: CLIError, written: UInt64, isOwn: Bool) {
        let isSpoilt = plan.once && written > 0
        if case .standardOutput = plan.destination, isSpoilt || isOwn {
            done.resume(throwing: error)
        } else {
            place.leave(filled: false)
        }
    }

    /// Whether the failure is this side's output.
    private static func isOwn(_ error: DeP2PError) -> Bool {
        guard let error = error.underlying as? TransferError, !error.isFromPeer else { return false }
        return error.code == .noSpace || error.code == .fileAccess
    }

    private func sayEnd(of transfer: IncomingTransfer, _ summary: TransferSummary, _ known: Incoming?) {
        let code = summary.failed.first.map { CLIError(transfer: $0.error).code.name } ?? "ok"
        output.record(
            "transfer",
            fields(of: transfer) + [.int("files", summary.files.count), .int("bytes", summary.bytes)]
                + Self.end(code: code, nil))
        guard let known, let clock else { return }
        let duration = FixedPoint.duration(clock.now.duration(since: known.start))
        let count = summary.files.count
        output.note(
            "received \(FixedPoint.bytes(summary.bytes)) in \(count) file\(count == 1 ? "" : "s") in \(duration)")
    }

    private static func end(code: String, _ message: String?) -> [JSONField] {
        [.bool("ok", code == "ok"), .string("code", code), .string("message", message)]
    }
}
