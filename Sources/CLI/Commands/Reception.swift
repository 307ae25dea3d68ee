import AppLayer
import DeP2P
import Identity
import QUIC
import SystemLayer

/// One run of `dep2p listen`: takes what comes, says so, and knows when it was enough.
///
/// Calling order: ``begin(on:_:)``, then ``wait(on:timeout:)``.
@NetworkActor
final class Reception {
    /// A transfer under way, as far as it is known.
    private struct Incoming {
        let offer: TransferOffer
        let start: NetworkInstant
        var isAccepted = false
        var meter: ProgressMeter
    }

    private let plan: ListenPlan
    private let output: Output
    private let done = Waiter<Void>()
    private var clock: (any NetworkClock)?
    /// Places given to what is arriving or has arrived; with `--once` there is one.
    private var taken = 0
    private var incoming: [NodeID: Incoming] = [:]
    private var files = 0
    private var bytes: UInt64 = 0
    private var messages = 0

    init(_ plan: ListenPlan, _ output: Output) {
        self.plan = plan
        self.output = output
    }

    /// The fields of the result.
    var fields: [JSONField] { [.int("files", files), .int("bytes", bytes), .int("messages", messages)] }

    /// - Parameter destination: nil takes messages only.
    func begin(on node: Node, _ destination: TransferReceiver.Destination?) throws {
        clock = node.clock
        if !plan.allowed.isEmpty { refuseOthers(on: node) }
        node.onAnyMessage { [self] message in try await take(message) }
        let policy = ReceivePolicy(maximumSize: plan.maximumBytes) { [self] _, sender in await decide(sender) }
        if let destination {
            node.receiveTransfers(
                to: destination, policy: policy, events: { [self] in handle($0, from: $1) },
                completion: { [self] in complete($0, from: $1) })
        }
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
    func wait(on node: Node, timeout: Duration?) async throws {
        guard let timeout else { return try await done.value() }
        do {
            try await node.clock.withDeadline(timeout) { [done] in try await done.value() }
        } catch is DeadlineExceeded {
            throw CLIError(
                .timeout, "nothing arrived in \(FixedPoint.duration(timeout))", hint: "--timeout 0 waits for ever",
                fields: fields)
        }
    }

    private func takePlace() -> Bool {
        guard !plan.once || taken == 0 else { return false }
        taken += 1
        return true
    }

    private func finishOne() {
        if plan.once { done.resume(returning: ()) }
    }

    // MARK: Messages

    private func take(_ message: IncomingMessage) throws -> [UInt8]? {
        guard isAllowed(message.from) else { throw CLIError(.refused, "this node does not receive from you") }
        guard takePlace() else { throw CLIError(.busy, "one message was wanted, and it came") }
        output.record(
            "message",
            [
                .string("from", message.from.description), .string("protocol", message.protocolName),
                .text(message.body, named: "text", orBase64: "base64"),
            ])
        if case .standardOutput = plan.destination {
            output.content(message.body)
        } else {
            output.result("\(message.from): \(TerminalText.escapeLines(message.body))")
        }
        messages += 1
        bytes += UInt64(message.body.count)
        finishOne()
        return plan.reply
    }

    // MARK: Transfers

    private func decide(_ sender: NodeID) -> ReceivePolicy.Decision {
        guard isAllowed(sender) else { return .refuse(.notAllowed, "this node does not receive from you") }
        return takePlace() ? .accept : .refuse(.busy, "the receiver wanted one thing, and it came")
    }

    private func handle(_ event: TransferEvent, from sender: NodeID) {
        switch event {
        case .offered(let offer):
            guard let clock else { return }
            let total = offer.hasStream ? nil : offer.totalSize
            incoming[sender] = Incoming(
                offer: offer, start: clock.now, meter: ProgressMeter(name: Delivery.name(of: offer), total: total))
        case .accepted:
            incoming[sender]?.isAccepted = true
            sayOffer(from: sender, refusal: nil)
        case .progress(let progress): report(progress, from: sender)
        case .stored(let file): store(file, from: sender)
        case .failed(let failure):
            let name = TerminalText.escape(failure.path.joined(separator: "/"))
            output.note("not received: \(name): \(TerminalText.escape(failure.error.message))")
        }
    }

    private func sayOffer(from sender: NodeID, refusal: String?) {
        guard let offer = incoming[sender]?.offer else { return }
        output.event(
            "offer",
            [
                .string("from", sender.description), .string("name", offer.entries.first?.path.first),
                .int("files", offer.entries.count { $0.kind != .directory }),
                JSONField("bytes", offer.hasStream ? .null : .int(Int64(clamping: offer.totalSize))),
                .bool("accepted", refusal == nil), .string("reason", refusal),
            ])
        let size = offer.hasStream ? "" : " (\(FixedPoint.bytes(offer.totalSize)))"
        let what = "\(Delivery.name(of: offer))\(size) from \(sender)"
        output.note(refusal.map { "refused \(what): \(TerminalText.escape($0))" } ?? "receiving \(what)")
    }

    private func report(_ progress: TransferProgress, from sender: NodeID) {
        guard let clock, var transfer = incoming[sender] else { return }
        let due = transfer.meter.update(bytes: progress.bytes, at: clock.now.duration(since: transfer.start))
        incoming[sender] = transfer
        if let line = due.line { output.progress(line) }
        if let fields = due.event { output.event("progress", [.string("from", sender.description)] + fields) }
    }

    private func store(_ file: TransferredFile, from sender: NodeID) {
        files += 1
        bytes += file.size
        let name = file.storedPath.joined(separator: "/")
        var path = Array(name.utf8)
        if case .directory(let folder) = plan.destination { path = StandardPaths.join(folder, name) }
        output.record(
            "file",
            [
                .path("path", path), .int("bytes", file.size), .string("root", file.root.hex),
                .string("from", sender.description),
            ])
        if case .directory = plan.destination { output.result(TerminalText.escape(path)) }
    }

    private func complete(_ result: Result<TransferSummary, DeP2PError>, from sender: NodeID) {
        let transfer = incoming.removeValue(forKey: sender)
        let wasAccepted = transfer?.isAccepted ?? false
        output.progress(nil)
        switch result {
        case .success(let summary):
            guard let transfer, let clock else { return }
            let duration = FixedPoint.duration(clock.now.duration(since: transfer.start))
            let count = summary.files.count
            output.note(
                "received \(FixedPoint.bytes(summary.bytes)) in \(count) file\(count == 1 ? "" : "s") in \(duration)")
            summary.failed.isEmpty ? finishOne() : giveBack()
        case .failure(let error):
            let mapped = CLIError(error)
            guard wasAccepted else {
                incoming[sender] = transfer
                sayOffer(from: sender, refusal: mapped.message)
                incoming[sender] = nil
                return
            }
            output.note("transfer from \(sender) ended: \(mapped.message)")
            // What is on standard output already can't be taken back, and would come again.
            if case .standardOutput = plan.destination { done.resume(throwing: mapped) } else { giveBack() }
        }
    }

    private func giveBack() { taken -= 1 }
}
