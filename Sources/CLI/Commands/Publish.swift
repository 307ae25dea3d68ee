import DeP2P

extension CommandEntry {
    static let publish = CommandEntry(
        name: "publish",
        summary: "publish messages to a topic of the realm",
        synopses: ["TOPIC TEXT", "TOPIC [-]", "TOPIC --lines [-]"],
        description: [
            "Publishes to everybody in the realm who is subscribed to TOPIC: TEXT, or standard input as one message, or with "
                + "`--lines` each line of it as one. A message has at most 1 MiB and may hold any bytes.",
            "Members are found on this machine's networks by themselves, else at the addresses given by `--peer` and named in "
                + "the configuration. A subscriber that this node is not connected with gets the message from those that are.",
            "Waits until somebody listens. When nobody does in time, or nobody has taken the message, the status is 75.",
        ],
        operands: .words,
        options: [.publishLines, .publishWaitPeers],
        common: CommonOptions.node,
        examples: [
            .init(
                says: "publish a message", line: "dep2p publish --realm-key realm.key --peer ADDR alerts 'disk full'"),
            .init(
                says: "publish each line of a log",
                line: "tail -f log | dep2p publish --realm-key realm.key alerts --lines -"),
        ],
        statuses: [.badData, .tryAgain, .permission],
        events: [
            .init(
                "result",
                "Adds `messages`, how many were published, `message_ids`, those of the first 1000, and `peers`, the members "
                    + "that have taken what they were sent.")
        ],
        plan: { options throws(CLIError) in try PublishPlan(options) })
}

extension OptionEntry {
    static let publishLines = OptionEntry(
        "lines", summary: "publish each line of standard input as a message",
        paragraphs: [
            "Publish each line of standard input, without its line feed, as soon as it comes, until the input ends. While "
                + "fewer members listen than are waited for, the next line waits, for as long as `--timeout` says."
        ])
    static let publishWaitPeers = OptionEntry(
        "wait-peers", value: .count, summary: "wait until N members listen (default 1)",
        paragraphs: [
            "Wait until N of the members that this node is connected with are subscribed. The default is 1. When fewer are "
                + "in the time of `--timeout` (30 s), nothing is published and the status is 75."
        ])
}

struct PublishPlan: CommandPlan, Equatable {
    static let defaultTimeout = Duration.seconds(30)
    /// Ids that the result tells.
    static let toldIDs = 1_000

    enum Payload: Equatable, Sendable {
        case text([UInt8])
        case standardInput
        case lines
    }

    let topic: String
    let payload: Payload
    let peers: Int
    let node: NodePlan

    init(_ options: ResolvedOptions) throws(CLIError) {
        guard let first = options.operands.first else { throw CLIError(.usage, "no topic to publish to") }
        topic = try TopicName.text(first)
        payload = try Self.payload(options)
        peers = try options.value(.publishWaitPeers, as: ArgumentValue.count) ?? 1
        node = try NodePlan(options, defaultTimeout: Self.defaultTimeout)
        if payload == .standardInput || payload == .lines, node.readsStandardInput {
            throw CLIError(.usage, "standard input is what is published: no key or passphrase can come from it")
        }
    }

    private static func payload(_ options: ResolvedOptions) throws(CLIError) -> Payload {
        let words = options.operands.dropFirst()
        if let second = words.dropFirst().first {
            throw CLIError(.usage, "one message at a time: \(second.quoted)", hint: "quote a text with spaces")
        }
        let text = words.first.flatMap { $0.isDash ? nil : $0 }
        guard options.isSet(.publishLines) else { return text.map { .text($0.bytes) } ?? .standardInput }
        if let text { throw CLIError(.usage, "--lines publishes standard input, not \(text.quoted)") }
        return .lines
    }

    func run(in context: RunContext) async throws(CLIError) -> CommandResult {
        if case .text(let body) = payload, body.count > Node.publicationLimit {
            throw CLIError(.tooLarge, "the message has more than \(Node.publicationLimit) bytes")
        }
        if payload == .standardInput || payload == .lines, StandardStream.input.isTerminal {
            context.output.note("reading from the terminal; end with Ctrl-D")
        }
        let run = try NodeRun(node, needsRealm: true, in: context)
        let publishing = await Publishing(self, run)
        let outcome = try await run.run { node in try await publishing.publish(on: node) }
        let fields = await publishing.fields
        switch outcome {
        case .finished: return CommandResult(fields: fields)
        case .interrupted(let reason): return CommandResult(fields: fields, status: reason.status)
        }
    }
}
