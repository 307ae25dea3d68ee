import DeP2P

/// One run of `dep2p send`: connects, sends, and keeps what is known of it for the result, however it ends.
@NetworkActor
final class Delivery {
    private let run: NodeRun
    private let target: Target
    private var session: Session?
    private var start: NetworkInstant?
    private var elapsed: Duration?
    private var bytes: UInt64 = 0
    private var resumedBytes: UInt64 = 0
    private var files = 0
    private var root: MerkleRoot?
    private var reply: [UInt8]?
    private var failed: [TransferFailure] = []
    private var unsent: [UnsentFile] = []
    private var skipped: [SkippedFile] = []

    init(_ run: NodeRun, target: Target) {
        self.run = run
        self.target = target
    }

    /// The fields of the result.
    var fields: [JSONField] {
        [
            .int("bytes", bytes), .seconds("seconds", elapsed), .int("files", files), .string("root", root?.hex),
            .string("path", session?.path.description), .int("resumed_bytes", resumedBytes),
            reply.map { .text($0, named: "reply", orBase64: "reply_base64") } ?? .string("reply", nil),
        ] + listFields
    }

    private var listFields: [JSONField] {
        let skips = skipped.map { JSONValue.object([.string("path", $0.path), .string("reason", $0.reason)]) }
        let failures =
            Self.failures(unsent) + failed.map { Self.failure(Array($0.path.joined(separator: "/").utf8), $0.error) }
        return [JSONField("failed", .array(failures)), JSONField("skipped", .array(skips))]
    }

    private nonisolated static func failures(_ unsent: [UnsentFile]) -> [JSONValue] {
        unsent.map { failure($0.path, $0.error) }
    }

    private nonisolated static func failure(_ path: [UInt8], _ error: TransferError) -> JSONValue {
        let error = CLIError(transfer: error)
        return .object([
            .path("path", path), .string("code", error.code.name),
            .string("message", error.message),
        ])
    }

    private var output: Output { run.context.output }

    private func connect(over node: Node) async throws -> Session {
        start = node.clock.now
        let session = try await node.session(to: target.dialTarget, timeout: run.timeout)
        self.session = session
        do {
            try await node.realm.admit(session)
        } catch {
            // What the peer closed the connection with says more than that admission ended.
            if let end = session.end, case .closedByPeer = end.cause { throw SessionError(.closed(end)) }
            throw error
        }
        for line in AttemptTable.lines(session.attempts) { output.detail(line) }
        output.event("path", [.string("path", session.path.description)])
        run.events.observe { [output] event in
            guard case .session(let subject, .moved(let path)) = event, subject.id == session.id else { return }
            output.event("path", [.string("path", path.description)])
            output.detail("the path is now \(path)")
        }
        return session
    }

    private func stopClock(_ node: Node) -> Duration {
        let duration = start.map { node.clock.now.duration(since: $0) } ?? .zero
        elapsed = duration
        return duration
    }

    // MARK: Messages

    func send(message body: [UInt8], over node: Node) async throws {
        let session = try await connect(over: node)
        reply = try await node.send(body, on: session, timeout: run.timeout)
        bytes = UInt64(body.count)
        let duration = FixedPoint.duration(stopClock(node))
        output.note("delivered to \(session.remoteNodeID) in \(duration), \(session.path)")
        if let reply { output.reply(reply) }
    }

    // MARK: Files

    func send(_ source: SendSource, over node: Node) async throws {
        unsent = source.unsent
        skipped = source.skipped
        let session = try await connect(over: node)
        for skip in source.skipped {
            output.note("not sent: \(TerminalText.escape(skip.path)): \(TerminalText.escape(skip.reason))")
        }
        let offer = source.offer
        var meter = ProgressMeter(
            name: Self.name(of: offer), total: offer.hasStream ? nil : offer.totalSize, path: session.path.description)
        do {
            let summary = try await node.send(source, on: session) { [self] event in
                handle(event, &meter, session, node.clock.now)
            }
            try finish(summary, stopClock(node), session)
        } catch let error as CLIError {
            throw error
        } catch {
            _ = stopClock(node)
            if Task.isCancelled { throw CancellationError() }
            throw CLIError(error).adding(fields)
        }
    }

    private func handle(_ event: TransferEvent, _ meter: inout ProgressMeter, _ session: Session, _ now: NetworkInstant)
    {
        switch event {
        case .progress(let progress):
            bytes = progress.bytes
            resumedBytes = progress.resumedBytes
            meter.path = session.path.description
            let time = start.map { now.duration(since: $0) } ?? .zero
            let due = meter.update(bytes: progress.bytes, spared: progress.sparedBytes, at: time)
            if let line = due.line { output.progress(line) }
            if let fields = due.event { output.event("progress", fields) }
        case .failed(let failure):
            let name = TerminalText.escape(failure.path.joined(separator: "/"))
            // The end tells it too.
            output.detail("not sent: \(name): \(TerminalText.escape(failure.error.description))")
        case .offered, .accepted, .stored: break
        }
    }

    private func finish(_ summary: TransferSummary, _ duration: Duration, _ session: Session) throws(CLIError) {
        bytes = summary.bytes
        resumedBytes = summary.resumedBytes
        files = summary.files.count
        root = summary.root
        failed = summary.failed
        let errors = unsent.map(\.error) + failed.map(\.error)
        if !errors.isEmpty { throw Self.error(errors, fields) }
        let resumed = resumedBytes > 0 ? ", \(FixedPoint.bytes(resumedBytes)) were there already" : ""
        output.note(
            "sent \(FixedPoint.bytes(bytes)) in \(FixedPoint.duration(duration)) to \(session.remoteNodeID), "
                + "\(session.path)\(resumed)")
    }

    /// What to end with when `errors` kept things from being sent: the first one's code. Of all that was named or lies in
    /// the folders, each is told, as far as somebody can read them; the result carries all.
    private nonisolated static func error(_ errors: [TransferError], _ fields: [JSONField]) -> CLIError {
        let told = errors.prefix(mostTold).map { CLIError(transfer: $0) }
        guard let first = told.first else { return CLIError(.internalError, "nothing failed") }
        guard errors.count > 1 else { return CLIError(first.code, first.message, hint: first.hint, fields: fields) }
        var details = told.map { "  " + $0.message }
        if errors.count > told.count { details.append("  and \(errors.count - told.count) more; --json lists all") }
        return CLIError(
            first.code, "\(errors.count) files or folders were not sent:", hint: first.hint, details: details,
            fields: fields)
    }

    /// Of nothing that could be sent.
    nonisolated static func error(_ unsent: [UnsentFile]) -> CLIError {
        error(unsent.map(\.error), [JSONField("failed", .array(failures(unsent)))])
    }

    /// Lines about what was not sent.
    private nonisolated static let mostTold = 100

    /// Names that are counted: a peer may offer a million.
    private static let mostCounted = 10_000

    static func name(of offer: TransferOffer) -> String {
        guard let first = offer.entries.first else { return "" }
        let name = TerminalText.escape(first.path.first ?? "")
        let tops = offer.entries.topCount(atMost: mostCounted)
        if tops == mostCounted { return "\(name) and many more" }
        return tops == 1 ? name : "\(name) and \(tops - 1) more"
    }
}

extension CLIError {
    /// The error with more fields in the JSON result; those it has already stay.
    func adding(_ more: [JSONField]) -> CLIError {
        let names = Set(fields.map(\.name))
        return CLIError(
            code, message, hint: hint, details: details, fields: fields + more.filter { !names.contains($0.name) })
    }
}
