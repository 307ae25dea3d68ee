import DeP2P

extension CommandEntry {
    static let listen = CommandEntry(
        name: "listen",
        summary: "receive files and messages from members of the realm",
        synopses: ["[-o DIR | --stdout] [--once] [OPTION]..."],
        description: [
            "Prints this node's NodeID, its addresses and the `dep2p send` line to paste on another machine, then receives "
                + "until a signal ends it, with status 0.",
            "Messages are printed. Files are accepted only when there is somewhere to put them: `-o` or `--stdout`. A file "
                + "appears under its name when its content is verified and safe on disk, never before, and an existing file "
                + "is never overwritten: the new one gets a number. What was received of an interrupted transfer stays in a "
                + "partial file and is not sent again; after seven days without a continuation it is removed, and earlier "
                + "when room is needed.",
            "Names arrive as they were sent, except that invisible characters are written out, as in `{U+200B}`, and that "
                + "what lies directly in DIR gets an underscore before a leading dot or dash.",
            "When more transfers come than are received at once, they wait, and their senders with them.",
            "Only members of the realm get this far, and only those named by `--allow` when it is given.",
        ],
        operands: .none,
        options: [
            .receptionAllow, .receptionMaxSize, .listenOnce, .listenOutput, .receptionReply, .listenStdout,
            .receptionTransfers,
        ],
        common: CommonOptions.reachableNode,
        examples: [
            .init(
                says: "receive into inbox; prints the send line to paste",
                line: "dep2p listen --realm-key realm.key -o inbox"),
            .init(
                says: "receive one stream and unpack it",
                line: "dep2p listen --realm-key realm.key --once --stdout | tar x"),
        ],
        statuses: [.badData, .inputMissing, .cannotCreate, .tryAgain, .permission],
        events: [
            .init("listening", "`node_id`, `addresses` and `send`, the line to paste.")
        ] + reachabilityEvents + [.peerWhenVerbose] + receptionEvents + [
            .init("result", "Adds `files`, `bytes` and `messages`, all that was received.")
        ],
        notes: [
            "The command speaks sd_notify(3): it tells a service manager when its sockets are bound, as often as "
                + "`WatchdogSec=` asks that it is alive, and when it stops."
        ],
        plan: { options throws(CLIError) in try ListenPlan(options) })
}

extension OptionEntry {
    static let listenOnce = OptionEntry(
        "once", summary: "end after the first transfer or message",
        paragraphs: [
            "End after the first transfer or message that was received whole. One that breaks off does not count, and what "
                + "comes meanwhile waits. `--timeout` then says how long to wait for something to begin; what is arriving by "
                + "then goes on to its end."
        ])
    static let listenOutput = OptionEntry(
        "output", short: "o", value: .directory, summary: "put files into DIR, made when missing; - as --stdout",
        paragraphs: [
            "Put received files into DIR, which is made when it is missing. `-` is the same as `--stdout`, and allows a "
                + "terminal."
        ])
    static let listenStdout = OptionEntry(
        "stdout", summary: "write received content to standard output",
        paragraphs: [
            "Write the content of what is received to standard output, and notes to standard error. Refused when standard "
                + "output is a terminal. With `--once`, the command fails when what has begun to be written breaks off; "
                + "without, a note tells it, and the next thing follows."
        ])
}

struct ListenPlan: CommandPlan, Equatable {
    /// How long the first reservation with a relay may keep the addresses from being printed.
    static let relayWait = Duration.seconds(3)

    let reception: ReceptionPlan
    let access: AccessPolicy
    let node: NodePlan

    init(_ options: ResolvedOptions) throws(CLIError) {
        reception = try ReceptionPlan(
            options, to: try Self.destination(options), once: options.isSet(.listenOnce))
        access = try options.access
        node = try NodePlan(options, defaultTimeout: nil)
    }

    private static func destination(_ options: ResolvedOptions) throws(CLIError) -> ReceptionPlan.Destination {
        let output = options.path(.listenOutput)
        let isDash = output == [UInt8(ascii: "-")]
        guard options.isSet(.listenStdout) || isDash else {
            return output.map(ReceptionPlan.Destination.directory) ?? .nowhere
        }
        guard output == nil || isDash else { throw CLIError(.usage, "--stdout and --output exclude each other") }
        guard !options.isSet(.json) else {
            throw CLIError(.usage, "--json and received content can't share standard output", hint: "use -o DIR")
        }
        return .standardOutput(named: isDash)
    }

    func run(in context: RunContext) async throws(CLIError) -> CommandResult {
        if reception.destination == .standardOutput(named: false), context.output.standardOutput.isTerminal {
            throw CLIError(
                .usage, "standard output is a terminal", hint: "redirect it, or use -o - to write there anyway")
        }
        let destination = try reception.open()
        var daemon = try Daemon(node, needsRealm: true, in: context)
        daemon.run.adjust = { [access] configuration in
            configuration.reserves = true
            configuration.access = access
        }
        let receiving = await Reception(reception, context.output)
        let outcome = try await daemon.serve { [run = daemon.run] node in
            receiving.begin(on: node, destination, run.events)
            await announce(node, run)
            return "listening as \(node.nodeID)"
        } until: { _ in
            try await receiving.wait(timeout: reception.once ? node.timeout : nil)
        }
        let fields = await receiving.fields
        switch outcome {
        case .finished: return CommandResult(fields: fields)
        // A listener that was to run for ever was ended as it should; one that waited for something was not.
        case .interrupted(let reason):
            return CommandResult(fields: fields, status: reception.once ? reason.status : .ok)
        }
    }

    @NetworkActor
    private func announce(_ node: Node, _ run: NodeRun) async {
        let output = run.context.output
        let relays = RelayReport(output, run.events)
        let isRelayed = await node.waitForRelay(timeout: Self.relayWait)
        let line = reception.sendLine(to: node, run.plan)
        output.announce(node, "NodeID \(node.nodeID)", also: [.string("send", line)])
        if !run.plan.relays.isEmpty, !isRelayed { output.note("no relay has granted a reservation yet") }
        output.reportChanges(of: node, run.events)
        relays.begin()
        output.reportPaths(of: node, run.events)
        output.reportPresence(run.events)
        if reception.destination == .nowhere { output.note("only messages are received; -o DIR receives files too") }
        output.note("on the other machine: \(line)")
    }
}
