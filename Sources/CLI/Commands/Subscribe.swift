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
