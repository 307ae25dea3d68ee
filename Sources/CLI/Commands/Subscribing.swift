import DeP2P

/// One run of `subscribe`.
@NetworkActor
final class Subscribing {
    private let plan: SubscribePlan
    private let output: Output
    private let writer = MessageWriter()
    private var messages = 0
    /// The last author's NodeID as text, which takes as long to make as everything else about a message.
    private var author: (nodeID: NodeID, text: String)?
    /// Bytes of a message that are printed as quickly as its packets are read.
    private static let quickBytes = 16 * 1024

    init(_ plan: SubscribePlan, _ output: Output) { (self.plan, self.output) = (plan, output) }

    var fields: [JSONField] { [.int("messages", messages)] }

    /// Prints until it was enough.
    func read(from node: Node) async throws {
        var all: [TopicEvents] = []
        for topic in plan.topics { all.append(try node.subscribe(topic)) }
        let done = Waiter<Bool>()
        let tasks = all.map { events in
            networkTask { [weak self] in
                for await event in events {
                    guard let self else { return }
                    do { try await take(event, in: events.topic) } catch { return }
                    if let count = plan.count, messages >= count { return done.resume(returning: true) }
                }
            }
        }
        let timeout = plan.count == nil ? nil : plan.node.timeout
        let timer = timeout.map { node.clock.schedule(after: $0) { done.resume(returning: false) } }
        defer {
            timer.map(node.clock.cancel)
            for task in tasks { task.cancel() }
            for events in all { events.cancel() }
        }
        guard try await !done.value() else { return }
        throw CLIError(
            .timeout, "\(messages) of \(plan.count ?? 0) messages came in \(FixedPoint.duration(timeout ?? .zero))",
            hint: "--timeout 0 waits for ever", fields: fields)
    }

    private func take(_ event: TopicEvent, in topic: String) async throws {
        // What nobody reads waits in the subscription, where it is counted when there is too much of it.
        while output.isBacklogged {
            let taken = Waiter<Void>()
            output.whenTaken { networkTask { taken.resume(returning: ()) } }
            try await taken.value()
        }
        if let count = plan.count, messages >= count { return }
        switch event {
        case .message(let message): await show(message)
        case .gap(let author, let count):
            output.record(
                "gap", [.string("topic", topic), .string("from", author.description), .int("count", count)])
            output.note("\(count) message\(count == 1 ? "" : "s") of \(author) did not arrive")
        case .dropped(let count):
            output.record("dropped", [.string("topic", topic), .int("count", count)])
            output.note("\(count) message\(count == 1 ? "" : "s") were left out: nobody read them in time")
        }
    }

    private func show(_ message: TopicMessage) async {
        messages += 1
        let text =
            message.body.count > Self.quickBytes
            ? await writer.text(of: message.body, isJSON: output.isJSON)
            : MessageText(message.body, isJSON: output.isJSON)
        switch text {
        case .field(let field):
            output.record(
                "message",
                [
                    .string("topic", message.topic), .string("from", name(of: message.from)),
                    .string("seq", String(message.sequence)), field,
                    .string("received_at", Timestamp.text(message.receivedAt)),
                ])
        case .line(let line):
            let topic = plan.topics.count > 1 ? "\(TerminalText.escape(message.topic)): " : ""
            output.result("\(name(of: message.from)): \(topic)\(line)")
        // Only of who asks for it.
        case .content: break
        }
    }

    private func name(of nodeID: NodeID) -> String {
        if let author, author.nodeID == nodeID { return author.text }
        let text = nodeID.description
        author = (nodeID, text)
        return text
    }
}
