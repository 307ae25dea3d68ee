import DeP2P

/// One run of a node that receives: takes what comes, says so, and knows when it was enough.
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
        /// What it brings, escaped for a terminal.
        var name: String?
        var meter: ProgressMeter?
    }

    private let plan: ReceptionPlan
    private let output: Output
    private var inbox: Inbox?
    private var happened: EventReader?
    private let writer = MessageWriter()
    private var clock: (any NetworkClock)?
    private var incoming: [IncomingTransfer: Incoming] = [:]
    private var files = 0
    private var bytes: UInt64 = 0
    private var messages = 0

    init(_ plan: ReceptionPlan, _ output: Output) {
        self.plan = plan
        self.output = output
    }

    /// The fields of the result.
    var fields: [JSONField] { [.int("files", files), .int("bytes", bytes), .int("messages", messages)] }

    /// - Parameter destination: nil takes messages only.
    func begin(on node: Node, _ destination: TransferReceiver.Destination?, _ events: EventReader) {
        clock = node.clock
        happened = events
        events.observe { [output] event in
            guard case .messageFailed(let sender, _, let reason) = event else { return }
            output.note("a message from \(sender) was not taken: \(TerminalText.escape(reason))")
        }
        inbox = node.receive(
            to: destination, policy: policy, messages: { [self] message in try await take(message) },
            events: { [self] in handle($0, of: $1) }, completion: { [self] in complete($0, of: $1) })
    }

    private var policy: InboxPolicy {
        var policy = InboxPolicy()
        policy.takesOne = plan.once
        policy.maximumSize = plan.maximumBytes
        policy.transfers = plan.transfers
        policy.busy = { [output] in output.isBacklogged ? Self.unread : nil }
        policy.pace = { @NetworkActor [output] in
            // Each file is told of, and none of that is dropped.
            while output.isBacklogged {
                let taken = Waiter<Void>()
                output.whenTaken { networkTask { taken.resume(returning: ()) } }
                try await taken.value()
            }
        }
        return policy
    }

    /// Waits until the one thing has arrived; without `--once`, for ever.
    ///
    /// - Parameter timeout: how long to wait for it to begin. What is arriving by then may go on to its end.
    func wait(timeout: Duration?) async throws {
        guard let inbox, try await !inbox.wait(beginningWithin: timeout) else { return }
        throw CLIError(
            .timeout, "nothing arrived in \(FixedPoint.duration(timeout ?? .zero))",
            hint: "--timeout 0 waits for ever", fields: fields)
    }

    // MARK: Messages

    private func take(_ message: IncomingMessage) async throws -> [UInt8]? {
        let text = await text(of: message)
        guard !output.isBacklogged else { throw MessageRefusal(Self.unread) }
        // Who sends it may have come with the same packet.
        happened?.catchUp()
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

    private nonisolated static let unread = "nobody reads what it has received so far"

    // MARK: Transfers

    private func handle(_ event: TransferEvent, of transfer: IncomingTransfer) {
        switch event {
        case .offered(let offer):
            guard let clock else { return }
            happened?.catchUp()
            let total = offer.hasStream ? nil : offer.totalSize
            let name = Delivery.name(of: offer)
            incoming[transfer] = Incoming(
                fields: Self.fields(of: transfer), offer: offer, start: clock.now, name: name,
                meter: ProgressMeter(name: name, total: total))
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
        }
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
