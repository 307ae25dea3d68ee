import DeP2P

extension CommandEntry {
    static let dhtFind = CommandEntry(
        name: "dht-find",
        summary: "look up a node, record or providers in the DHT, and explain it",
        synopses: [
            "NODEID [--bootstrap ADDR]... [--dht-protocol ID] [OPTION]...",
            "--providers CID [--bootstrap ADDR]... [OPTION]...",
            "--record KEY [--bootstrap ADDR]... [OPTION]...",
        ],
        description: [
            "Looks up NODEID, or a name from the configuration, in the distributed hash table: asks nodes that are ever nearer "
                + "to it, beginning with those of `--bootstrap` and `--relay` and those that earlier runs have found useful, "
                + "until the nearest have answered. Shows each node that was asked and what came of it, then where NODEID is.",
            "A node is found when one of those nearest to it is connected to it, or was within the last hour. No realm is "
                + "needed. A member of a realm does not let itself be found so by strangers: with its `--realm-key` its record is "
                + "looked up first, which members alone can find and read.",
        ],
        operands: .names,
        options: [.dhtFindProtocol, .dhtFindProviders, .dhtFindRecord],
        common: CommonOptions.node,
        examples: [
            .init(
                says: "where a node is, as one bootstrap node knows",
                line: "dep2p dht-find --bootstrap ADDR NODEID"),
            .init(
                says: "the same in any libp2p network",
                line: "dep2p dht-find --dht-protocol /ipfs/kad/1.0.0 --bootstrap ADDR NODEID"),
            .init(
                says: "who provides some content",
                line: "dep2p dht-find --bootstrap ADDR --providers CID"),
            .init(
                says: "where a member of a realm is",
                line: "dep2p dht-find --realm-key realm.key --bootstrap ADDR NODEID"),
        ],
        statuses: [.badData, .unknownPeer, .unavailable, .tryAgain],
        events: [
            .init(
                "query",
                "A node was asked: its `node_id`, `distance` (of 256 bits, in hexadecimal), `elapsed_ms`, `outcome`: "
                    + "`answered` or what went wrong, and `detail`; `named`, how many nodes it named; `holds`, whether it had "
                    + "what was looked for."),
            .init(
                "result",
                "Adds `addresses` of the node, and `realm_record`, whether its record in the realm says so; with `--record`, `record` (`seq`, `value_base64`), with `--providers`, "
                    + "`providers` (`node_id` and `addresses` of each); `hops` (answers that lay one behind the other until it was found), `queried`, `answered`, and "
                    + "`closest`, the nearest that answered."),
        ],
        notes: [
            "Status 0 says that it was found, 68 that none of the nodes that were asked has it, 69 that none of them answered, "
                + "or none is known to begin with."
        ],
        plan: { options throws(CLIError) in try DHTFindPlan(options) })
}

extension OptionEntry {
    static let dhtFindProtocol = OptionEntry(
        "dht-protocol", value: Value(placeholder: "ID", completion: .nothing),
        summary: "the DHT's protocol (default dep2p's own)",
        paragraphs: [
            "Speak this protocol instead of dep2p's own: `/ipfs/kad/1.0.0` looks up a node in a network of libp2p's."
        ])

    static let dhtFindRecord = OptionEntry(
        "record", value: Value(placeholder: "KEY", completion: .nothing),
        summary: "look up a record instead of a node",
        paragraphs: [
            "Look up the signed record (BEP 44) of this key: its public key, and its salt if it has one, as 64 to 192 "
                + "hexadecimal digits. Of several the newest whose signature is right is printed: its value as it is, where that "
                + "is text, in base64 otherwise."
        ])

    static let dhtFindProviders = OptionEntry(
        "providers", value: Value(placeholder: "CID", completion: .nothing),
        summary: "look up who provides some content, instead of a node",
        paragraphs: [
            "Look up the nodes that provide what this CID stands for: `Qm…`, or `b…`, `k…`, `z…`, `f…`. Only its hash counts."
        ])
}

struct DHTFindPlan: CommandPlan, Equatable {
    static let defaultTimeout = Duration.seconds(30)

    /// What is looked for.
    enum Wanted: Equatable {
        case node(NodeID)
        /// Public key and salt.
        case record([UInt8])
        case providers(CID)
    }

    let wanted: Wanted
    /// Nil: dep2p's own.
    let protocolID: String?
    let node: NodePlan

    init(_ options: ResolvedOptions) throws(CLIError) {
        wanted = try Self.wanted(options)
        protocolID = try options.value(.dhtFindProtocol) { argument throws(CLIError) in
            let text = try ArgumentValue.text(argument)
            guard text.hasPrefix("/") else {
                throw CLIError(
                    .badValue, "not a protocol: \(argument.quoted)", hint: "one begins with /, as in /ipfs/kad/1.0.0")
            }
            return text
        }
        if case .record = wanted, protocolID != nil {
            throw CLIError(.usage, "--record and --dht-protocol exclude each other: others have other records")
        }
        node = try NodePlan(options, defaultTimeout: Self.defaultTimeout)
        guard node.usesDHT else { throw CLIError(.usage, "dht-find and --no-dht exclude each other") }
    }

    private static func wanted(_ options: ResolvedOptions) throws(CLIError) -> Wanted {
        let record = try options.value(.dhtFindRecord, as: recordKey)
        let cid = try options.value(.dhtFindProviders) { argument throws(CLIError) in
            guard let text = argument.text, let cid = CID(text) else {
                throw CLIError(.badContentKey, "not a CID: \(argument.quoted)", hint: "one looks like bafy… or Qm…")
            }
            return cid
        }
        if record != nil, cid != nil { throw CLIError(.usage, "--record and --providers exclude each other") }
        let operands = options.operands
        if let second = operands.dropFirst(record == nil && cid == nil ? 1 : 0).first {
            throw CLIError(.usage, "one thing at a time: \(second.quoted)")
        }
        if let record { return .record(record) }
        if let cid { return .providers(cid) }
        guard let operand = operands.first else { throw CLIError(.usage, "no NodeID to look up") }
        return .node(try options.names.nodeID(operand))
    }

    private static func recordKey(_ argument: Argument) throws(CLIError) -> [UInt8] {
        guard let text = argument.text, let bytes = Hex.decode([UInt8](text.utf8)), (32...96).contains(bytes.count)
        else {
            throw CLIError(
                .badContentKey, "not a record's key: \(argument.quoted)",
                hint: "one is a public key of 64 hexadecimal digits, and the digits of its salt")
        }
        return bytes
    }

    func run(in context: RunContext) async throws(CLIError) -> CommandResult {
        let run = try NodeRun(node, needsRealm: false, in: context)
        let report = DHTQueryReport(context.output)
        let (entrances, timeout) = (run.plan.dhtEntrances, run.plan.timeout)
        let outcome = try await run.run { [wanted, protocolID] node in
            switch wanted {
            case .node(let nodeID):
                await node.findInDHT(nodeID, from: entrances, protocolID: protocolID, timeout: timeout) {
                    report.tell($0)
                }
            case .record(let key):
                await node.findRecordInDHT(key, from: entrances, timeout: timeout) { report.tell($0) }
            case .providers(let cid):
                await node.findProvidersInDHT(cid, from: entrances, protocolID: protocolID, timeout: timeout) {
                    report.tell($0)
                }
            }
        }
        switch outcome {
        case .finished(let finding): return try DHTFindResult(wanted, finding).result(context.output)
        case .interrupted(let reason): return CommandResult(status: reason.status)
        }
    }
}
