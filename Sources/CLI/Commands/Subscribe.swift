import DeP2P

extension CommandEntry {
    static let subscribe = CommandEntry(
        name: "subscribe",
        summary: "print what members of the realm publish to topics",
        synopses: ["TOPIC... [--count N] [OPTION]..."],
        description: [
            "Prints this node's NodeID and its addresses, then each message that a member publishes to one of the topics, "
                + "until a signal ends it, with status 0. Messages of one author come in the order in which it published them.",
            "Members are found on this machine's networks by themselves, else at the addresses given by `--peer` and named in "
                + "the configuration, and find this node at those that it prints. What comes while a connection is lost is made up for when it stands again, for two "
                + "minutes.",
            "A line holds the author's NodeID and the message, and the topic between them when there are several; what a "
                + "terminal could act on is escaped.",
        ],
        operands: .words,
        options: [.subscribeCount],
        common: CommonOptions.reachableNode,
        examples: [
            .init(says: "print what is published to alerts", line: "dep2p subscribe --realm-key realm.key alerts"),
            .init(
                says: "wait for one message, as JSON",
                line: "dep2p subscribe --realm-key realm.key --json --count 1 --peer ADDR alerts"),
        ],
        statuses: [.tryAgain, .permission],
        events: [
            .init("listening", "`node_id`, `addresses` and `topics`."),
            .init(
                "message",
                "`topic`, `from`, `seq` (a string: it has 64 bits), `text`, or `base64` when it is not UTF-8, and "
                    + "`received_at`."),
            .init("gap", "So many messages of `from` to `topic` are missing here: `count`."),
            .init("dropped", "So many messages were left out here, because they were not read in time: `count`."),
            .peerWhenVerbose,
            .init("result", "Adds `messages`, how many were printed."),
        ],
        plan: { options throws(CLIError) in try SubscribePlan(options) })
}

extension OptionEntry {
    static let subscribeCount = OptionEntry(
        "count", value: .count, summary: "end after N messages",
        paragraphs: ["End after N messages. `--timeout` then says how long to wait for all of them."])
}

struct SubscribePlan: CommandPlan, Equatable {
    let topics: [String]
    /// Nil: no end.
    let count: Int?
    let node: NodePlan

    init(_ options: ResolvedOptions) throws(CLIError) {
        guard !options.operands.isEmpty else { throw CLIError(.usage, "no topic to subscribe to") }
        var topics: [String] = []
        for operand in options.operands {
            let topic = try TopicName.text(operand)
            if !topics.contains(where: { $0.utf8.elementsEqual(topic.utf8) }) { topics.append(topic) }
        }
        self.topics = topics
        count = try options.value(.subscribeCount, as: ArgumentValue.count)
        node = try NodePlan(options, defaultTimeout: nil)
    }

    func run(in context: RunContext) async throws(CLIError) -> CommandResult {
        var daemon = try Daemon(node, needsRealm: true, in: context)
        daemon.run.adjust = { configuration in configuration.reserves = true }
        let subscribing = await Subscribing(self, context.output)
        let outcome = try await daemon.serve { [run = daemon.run] node in
            let topics = JSONValue.array(topics.map(JSONValue.string))
            context.output.announce(node, "NodeID \(node.nodeID)", also: [JSONField("topics", topics)])
            context.output.reportChanges(of: node, run.events)
            context.output.reportPresence(run.events)
            return "subscribed as \(node.nodeID)"
        } until: { node in
            try await subscribing.read(from: node)
        }
        let fields = await subscribing.fields
        switch outcome {
        case .finished: return CommandResult(fields: fields)
        // One that was to run for ever was ended as it should; one that waited for something was not.
        case .interrupted(let reason):
            return CommandResult(fields: fields, status: count == nil ? .ok : reason.status)
        }
    }
}

/// One run of `subscribe`.
@NetworkActor
private final class Subscribing {
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
