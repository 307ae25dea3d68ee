import DeP2P

extension CommandEntry {
    static let send = CommandEntry(
        name: "send",
        summary: "send files, folders, a message or standard input to a node",
        synopses: ["--to TARGET FILE...", "--to TARGET -m TEXT", "--to TARGET -"],
        description: [
            "Sends to the node that listens as TARGET: a NodeID, or an address that ends in `/p2p/NODEID`, such as "
                + "`dep2p listen` prints. Both nodes need the same realm key.",
            "Files and folders arrive under their own names in the receiver's folder. `-` sends standard input. Symbolic "
                + "links, devices, pipes and sockets in folders are not sent, which is no failure.",
            "The command succeeds only when the receiver has verified everything that was named and said so. What can't be "
                + "read, or has a name that can't travel (control characters, bytes that aren't UTF-8, more than 64 folders "
                + "deep), does not keep the rest from being sent; it is told, and the status is that of the first. A file "
                + "that grows meanwhile is sent as long as it was at the start.",
            "A transfer that was interrupted, by whatever and at whatever byte, resumes when the same line runs again. When "
                + "the receiver acknowledges nothing for 30 s the command gives up with status 75.",
            "What begins over a relay goes on directly as soon as a direct path is found, and over the relay again when that "
                + "path dies.",
        ],
        operands: .files,
        options: [.sendMessage, .sendTo],
        common: CommonOptions.node,
        examples: [
            .init(
                says: "send a file and a folder, to the address that dep2p listen printed",
                line: "dep2p send --realm-key realm.key --to ADDR disk.img notes/"),
            .init(says: "send a message", line: "dep2p send --realm-key realm.key --to ADDR -m 'build 512 is green'"),
            .init(
                says: "send what a program writes", line: "pg_dump db | dep2p send --realm-key realm.key --to ADDR -"),
        ],
        statuses: [
            .badData, .inputMissing, .unknownPeer, .unavailable, .ioError, .tryAgain, .protocolViolation, .permission,
        ],
        events: [
            .init(
                "path",
                "The path to the peer, now and at each change: `path` is `direct`, `punched` or `relay(NODEID)`."),
            .init("progress", "At most twice a second: `bytes` acknowledged, `total`, `rate` in bytes a second."),
            .init(
                "result",
                "Adds `bytes`, `seconds`, `files`, `root` (the Merkle root in hexadecimal), `path`, `resumed_bytes`; "
                    + "what was not sent, in `failed` (`path`, or `path_base64` when it is not UTF-8, `code`, `message`) "
                    + "and, of links and devices, `skipped`; for a message, `reply`. When no connection came about, "
                    + "`attempts` tells each attempt's `stage`, `address`, `elapsed_ms`, `outcome` and `detail`, and "
                    + "`sources` who was asked where the node is: `source` (`known`, `remembered`, `relays`, `mdns`), "
                    + "`addresses` (how many it named), `elapsed_ms` (null when it was still looking) and `detail`."),
        ],
        plan: { options throws(CLIError) in try SendPlan(options) })
}

extension OptionEntry {
    static let sendMessage = OptionEntry(
        "message", short: "m", value: .text, summary: "send TEXT as a message instead of files",
        paragraphs: ["Send TEXT as a message instead of files. A reply is written to standard output."])
    static let sendTo = OptionEntry(
        "to", value: .init(placeholder: "TARGET", completion: .names),
        summary: "the receiver: a NodeID, a name, or an address with /p2p/NODEID",
        paragraphs: [
            "The receiver: an address that ends in `/p2p/NODEID`, a NodeID whose address is known, or a name for either from "
                + "the configuration. Another node at that address is refused."
        ])
}

struct SendPlan: CommandPlan, Equatable {
    enum Payload: Equatable, Sendable {
        /// Files and folders, as typed.
        case paths([[UInt8]])
        case message([UInt8])
        case standardInput
    }

    static let defaultTimeout = Duration.seconds(30)

    let target: Target
    let payload: Payload
    let node: NodePlan

    init(_ options: ResolvedOptions) throws(CLIError) {
        guard let target = try options.value(.sendTo, as: options.names.target) else {
            throw CLIError(.usage, "--to is missing: whom to send to")
        }
        guard target.nodeID != nil else {
            throw CLIError(.badAddress, "--to: the address names no node", hint: "add /p2p/NODEID to it")
        }
        self.target = target
        payload = try Self.payload(options)
        node = try NodePlan(options, defaultTimeout: Self.defaultTimeout)
        if payload == .standardInput, node.readsStandardInput {
            throw CLIError(.usage, "standard input is what is sent: no key or passphrase can come from it")
        }
    }

    private static func payload(_ options: ResolvedOptions) throws(CLIError) -> Payload {
        let operands = options.operands
        if let message = options.path(.sendMessage) {
            guard operands.isEmpty else { throw CLIError(.usage, "--message excludes files: \(operands[0].quoted)") }
            return .message(message)
        }
        guard !operands.isEmpty else { throw CLIError(.usage, "nothing to send: no FILE, no -m TEXT and no -") }
        if let empty = operands.first(where: \.bytes.isEmpty) {
            throw CLIError(.usage, "an empty name: \(empty.quoted)")
        }
        if operands.contains(where: \.isDash) {
            guard operands.count == 1 else { throw CLIError(.usage, "- excludes files: standard input is sent alone") }
            return .standardInput
        }
        return .paths(operands.map(\.bytes))
    }

    func run(in context: RunContext) async throws(CLIError) -> CommandResult {
        if payload == .standardInput, StandardStream.input.isTerminal {
            context.output.note("reading from the terminal; end with Ctrl-D")
        }
        let source = try source()
        let run = try NodeRun(node, needsRealm: true, in: context)
        let delivery = await Delivery(run, target: target)
        let outcome = try await run.run { node in
            if case .message(let body) = payload {
                try await delivery.send(message: body, over: node)
            } else if let source {
                try await delivery.send(source, over: node)
            }
        }
        if case .interrupted(let reason) = outcome {
            if source != nil, reason != .brokenPipe {
                context.output.note("stopped; run the same line again to resume")
            }
            return CommandResult(fields: await delivery.fields, status: reason.status)
        }
        return CommandResult(fields: await delivery.fields)
    }

    /// What is found before anything is sent; nil for a message.
    private func source() throws(CLIError) -> SendSource? {
        do {
            switch payload {
            case .message: return nil
            case .paths(let paths):
                let (source, unsent) = try SendSource.find(paths)
                guard let source else { throw Delivery.error(unsent) }
                return source
            case .standardInput: return try SendSource(stream: StandardStream.input.rawValue)
            }
        } catch let error as TransferError {
            throw CLIError(transfer: error)
        } catch let error as CLIError {
            throw error
        } catch {
            throw CLIError(.internalError, "\(error)")
        }
    }
}
