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
            .listenAllow, .listenMaxSize, .listenOnce, .listenOutput, .listenReply, .listenStdout, .listenTransfers,
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
            .init("listening", "`node_id`, `addresses` and `send`, the line to paste."),
            .init(
                "port_mapping",
                "A router has opened a port: `protocol` (`pcp`, `nat_pmp` or `upnp`), `port` and `address`, `null` when it "
                    + "did not tell; all are `null` when it is closed."),
            .init("addresses", "This machine's network has changed: the `addresses` as they are now."),
            .init(
                "reachability",
                "What nodes that dialled back have found: `state` (`public`, `private` or `unknown`), and the `addresses` "
                    + "as they are now."),
            .init(
                "relay",
                "A reservation with a relay: `relay`, its address, `state` (`reserved`, `refused` or `lost`) and, when "
                    + "refused, `reason`; a refusal for the same reason is told once."),
            .init(
                "offer",
                "A transfer begins: `transfer`, a number that all its events carry, `from`, `name`, `files`, `bytes`, "
                    + "`accepted` and, if not, `reason`."),
            .init("progress", "At most twice a second: `transfer`, `from`, `bytes`, `total`, `rate`."),
            .init("file", "A file is complete: `transfer`, `from`, `path`, `bytes`, `root`."),
            .init(
                "transfer",
                "A transfer that was accepted has ended: `transfer`, `from`, `ok`, `code`, `message`, and `files` and "
                    + "`bytes` when it came to its end."),
            .init("path", "The path to a member has changed: `from`, `path` as for `dep2p send`."),
            .init("message", "`from`, `protocol`, and `text`, or `base64` when it is not UTF-8."),
            .init("result", "Adds `files`, `bytes` and `messages`, all that was received."),
        ],
        notes: [
            "The command speaks sd_notify(3): it tells a service manager when its sockets are bound, as often as "
                + "`WatchdogSec=` asks that it is alive, and when it stops."
        ],
        plan: { options throws(CLIError) in try ListenPlan(options) })
}

extension OptionEntry {
    static let listenAllow = OptionEntry(
        "allow", value: .nodeID, repeats: true, summary: "receive from this node only; can be given repeatedly",
        paragraphs: ["Receive from this node and those of further `--allow` only. Every other member is refused."])
    static let listenMaxSize = OptionEntry(
        "max-size", value: .size, summary: "refuse what is larger, as in 10MiB",
        paragraphs: [
            "Refuse a transfer of more than SIZE bytes: a number with nothing or B, kB, MB, GB, TB (1000s) or KiB, MiB, GiB, "
                + "TiB (1024s)."
        ])
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
    static let listenTransfers = OptionEntry(
        "transfers", value: .count, summary: "receive so many transfers at once (16); others wait",
        paragraphs: [
            "Receive so many transfers at once; the default is the preset's, 16. A sender has at most half of them. The "
                + "others wait for their turn. To standard output it is always one."
        ])
    static let listenReply = OptionEntry(
        "reply", value: .text, summary: "answer every message with TEXT",
        paragraphs: ["Answer every message with TEXT."])
    static let listenStdout = OptionEntry(
        "stdout", summary: "write received content to standard output",
        paragraphs: [
            "Write the content of what is received to standard output, and notes to standard error. Refused when standard "
                + "output is a terminal. With `--once`, the command fails when what has begun to be written breaks off; "
                + "without, a note tells it, and the next thing follows."
        ])
}

struct ListenPlan: CommandPlan, Equatable {
    enum Destination: Equatable, Sendable {
        /// Messages only.
        case nowhere
        case directory([UInt8])
        /// To a terminal only when the user named it with `-`.
        case standardOutput(named: Bool)
    }

    /// How long the first reservation with a relay may keep the addresses from being printed.
    static let relayWait = Duration.seconds(3)

    let destination: Destination
    let once: Bool
    /// Empty: every member.
    let allowed: Set<NodeID>
    let maximumBytes: UInt64?
    /// How many transfers at once; nil: as the preset says.
    let transfers: Int?
    let reply: [UInt8]?
    let node: NodePlan

    init(_ options: ResolvedOptions) throws(CLIError) {
        destination = try Self.destination(options)
        once = options.isSet(.listenOnce)
        allowed = Set(try options.values(.listenAllow, as: ArgumentValue.nodeID))
        maximumBytes = try options.value(.listenMaxSize, as: ArgumentValue.size)
        transfers = try options.value(.listenTransfers, as: ArgumentValue.count)
        reply = options.path(.listenReply)
        node = try NodePlan(options, defaultTimeout: nil)
    }

    private static func destination(_ options: ResolvedOptions) throws(CLIError) -> Destination {
        let output = options.path(.listenOutput)
        let isDash = output == [UInt8(ascii: "-")]
        guard options.isSet(.listenStdout) || isDash else { return output.map(Destination.directory) ?? .nowhere }
        guard output == nil || isDash else { throw CLIError(.usage, "--stdout and --output exclude each other") }
        guard !options.isSet(.json) else {
            throw CLIError(.usage, "--json and received content can't share standard output", hint: "use -o DIR")
        }
        return .standardOutput(named: isDash)
    }

    func run(in context: RunContext) async throws(CLIError) -> CommandResult {
        if destination == .standardOutput(named: false), context.output.standardOutput.isTerminal {
            throw CLIError(
                .usage, "standard output is a terminal", hint: "redirect it, or use -o - to write there anyway")
        }
        let receiving = try openDestination()
        var run = try NodeRun(node, needsRealm: true, in: context)
        run.adjust = { [allowed] configuration in
            configuration.reserves = true
            if !allowed.isEmpty { configuration.access = .only(allowed) }
        }
        let reception = await Reception(self, context.output)
        let outcome = try await run.run { [run] node in
            reception.begin(on: node, receiving, run.events)
            await announce(node, run)
            let watchdog = ServiceNotifier(run.context.environment).feedWatchdog(on: node.clock)
            defer { watchdog?.cancel() }
            try await reception.wait(timeout: once ? self.node.timeout : nil)
        }
        ServiceNotifier(context.environment).send(.stopping)
        let fields = await reception.fields
        switch outcome {
        case .finished: return CommandResult(fields: fields)
        // A listener that was to run for ever was ended as it should; one that waited for something was not.
        case .interrupted(let reason): return CommandResult(fields: fields, status: once ? reason.status : .ok)
        }
    }

    private func openDestination() throws(CLIError) -> TransferReceiver.Destination? {
        switch destination {
        case .nowhere: return nil
        case .standardOutput: return .descriptor(StandardStream.output.rawValue)
        case .directory(let path):
            do {
                return .folder(try ReceiveFolder(path: path))
            } catch {
                throw CLIError(.cannotCreate, "can't open the folder \(TerminalText.escape(error.message))")
            }
        }
    }

    @NetworkActor
    private func announce(_ node: Node, _ run: NodeRun) async {
        let output = run.context.output
        let relays = RelayReport(output, run.events)
        let isRelayed = await node.waitForRelay(timeout: Self.relayWait)
        let addresses = node.addresses.map(\.description)
        let line = sendLine(node.addresses, node, run.plan)
        output.event(
            "listening",
            [
                .string("node_id", node.nodeID.description),
                JSONField("addresses", .array(addresses.map(JSONValue.string))), .string("send", line),
            ])
        output.note("NodeID \(node.nodeID)")
        for address in addresses { output.note("listening on \(address)") }
        if !run.plan.relays.isEmpty, !isRelayed { output.note("no relay has granted a reservation yet") }
        output.reportChanges(of: node, run.events)
        relays.begin()
        run.events.observe { [weak node] event in
            guard case .session(let session, .moved(let path)) = event,
                node?.connections.session(id: session.id)?.isAdmitted ?? false
            else { return }
            output.event("path", [.string("from", session.nodeID.description), .string("path", path.description)])
            output.detail("\(session.nodeID): the path is now \(path)")
        }
        if destination == .nowhere { output.note("only messages are received; -o DIR receives files too") }
        output.note("on the other machine: \(line)")
        ServiceNotifier(run.context.environment).send(.ready, .status("listening as \(node.nodeID)"))
    }

    /// The line that sends something here.
    private func sendLine(_ addresses: [Address], _ node: Node, _ plan: NodePlan) -> String {
        let address = addresses.first?.description ?? node.nodeID.description
        // One line carries every way in: the relayed ones stand beside the direct one.
        let relayed = addresses.dropFirst().filter(\.isRelayed).map { " --peer " + ShellQuoting.word($0.description) }
        let key: String
        if case .file(let path) = plan.realmKey { key = TerminalText.escape(path) } else { key = "realm.key" }
        let what = destination == .nowhere ? "-m TEXT" : "FILE..."
        let words = [key, address].map(ShellQuoting.word)
        return "\(Release.program) send --realm-key \(words[0]) --to \(words[1])\(relayed.joined()) \(what)"
    }
}
