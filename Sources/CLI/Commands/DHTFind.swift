import DeP2P

extension CommandEntry {
    static let dhtFind = CommandEntry(
        name: "dht-find",
        summary: "look up a node in the DHT, and explain the lookup",
        synopses: ["NODEID [--bootstrap ADDR]... [--dht-protocol ID] [OPTION]..."],
        description: [
            "Looks up NODEID, or a name from the configuration, in the distributed hash table: asks nodes that are ever nearer "
                + "to it, beginning with those of `--bootstrap` and `--relay` and those that earlier runs have found useful, "
                + "until the nearest have answered. Shows each node that was asked and what came of it, then where NODEID is.",
            "A node is found when one of those nearest to it is connected to it, or was within the last hour. No realm is "
                + "needed.",
        ],
        operands: .names,
        options: [.dhtFindProtocol],
        common: CommonOptions.node,
        examples: [
            .init(
                says: "where a node is, as one bootstrap node knows",
                line: "dep2p dht-find --bootstrap ADDR NODEID"),
            .init(
                says: "the same in any libp2p network",
                line: "dep2p dht-find --dht-protocol /ipfs/kad/1.0.0 --bootstrap ADDR NODEID"),
        ],
        statuses: [.badData, .unknownPeer, .unavailable, .tryAgain],
        events: [
            .init(
                "query",
                "A node was asked: its `node_id`, `distance` (of 256 bits, in hexadecimal), `elapsed_ms`, `outcome`: "
                    + "`answered` or what went wrong, and `detail`; `named`, how many nodes it named."),
            .init(
                "result",
                "Adds `addresses` of the node, `hops` (answers that lay one behind the other until it was found), `queried`, "
                    + "`answered`, and `closest`, the nearest that answered."),
        ],
        notes: [
            "Status 0 says that an address was found, 68 that the nodes that were asked know of none, 69 that none of them "
                + "answered, or none is known to begin with."
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
}

struct DHTFindPlan: CommandPlan, Equatable {
    static let defaultTimeout = Duration.seconds(30)

    let nodeID: NodeID
    /// Nil: dep2p's own.
    let protocolID: String?
    let node: NodePlan

    init(_ options: ResolvedOptions) throws(CLIError) {
        guard let operand = options.operands.first else { throw CLIError(.usage, "no NodeID to look up") }
        if let second = options.operands.dropFirst().first {
            throw CLIError(.usage, "one NodeID at a time: \(second.quoted)")
        }
        nodeID = try options.names.nodeID(operand)
        protocolID = try options.value(.dhtFindProtocol) { argument throws(CLIError) in
            let text = try ArgumentValue.text(argument)
            guard text.hasPrefix("/") else {
                throw CLIError(
                    .badValue, "not a protocol: \(argument.quoted)", hint: "one begins with /, as in /ipfs/kad/1.0.0")
            }
            return text
        }
        node = try NodePlan(options, defaultTimeout: Self.defaultTimeout)
        guard node.usesDHT else { throw CLIError(.usage, "dht-find and --no-dht exclude each other") }
    }

    func run(in context: RunContext) async throws(CLIError) -> CommandResult {
        let run = try NodeRun(node, needsRealm: false, in: context)
        let report = DHTQueryReport(context.output)
        let outcome = try await run.run { [nodeID, protocolID] node in
            await node.findInDHT(
                nodeID, from: run.plan.dhtEntrances, protocolID: protocolID, timeout: run.plan.timeout
            ) { report.tell($0) }
        }
        switch outcome {
        case .finished(let finding): return try result(finding, context.output)
        case .interrupted(let reason): return CommandResult(status: reason.status)
        }
    }

    private func result(_ finding: DHTFinding, _ output: Output) throws(CLIError) -> CommandResult {
        let fields: [JSONField] = [
            JSONField("addresses", .array(finding.addresses.map { .string("\($0)") })), .int("hops", finding.hops),
            .int("queried", finding.queried), .int("answered", finding.answered),
            JSONField("closest", .array(finding.closest.map { .string("\($0)") })),
        ]
        guard finding.addresses.isEmpty else {
            for address in finding.addresses { output.result("\(address)") }
            output.note(
                "found after \(finding.hops) hop\(finding.hops == 1 ? "" : "s"); "
                    + "\(finding.answered) of \(finding.queried) nodes answered")
            return CommandResult(fields: fields)
        }
        guard finding.queried > 0 else {
            throw CLIError(
                .noDHT, "no node of the DHT is known", hint: "--bootstrap names one to begin with", fields: fields)
        }
        guard finding.answered > 0 else {
            throw CLIError(
                .noDHT, "none of \(finding.queried) node\(finding.queried == 1 ? "" : "s") answered",
                hint: "check the addresses of --bootstrap, and that these nodes serve the DHT", fields: fields)
        }
        throw CLIError(
            .unknownPeer, "nobody in the DHT knows where \(nodeID) is",
            hint: "a node is found there while it runs, with a bootstrap node of the same network", fields: fields)
    }
}

/// Tells of each node that a lookup has asked.
struct DHTQueryReport: Sendable {
    private let output: Output

    init(_ output: Output) { self.output = output }

    func tell(_ query: DHTQuery) {
        let (outcome, detail, named): (String, String, Int?) =
            switch query.outcome {
            case .answered(let count): ("answered", "named \(count) node\(count == 1 ? "" : "s")", count)
            case .failed(let error): (error.code.rawValue, error.message, nil)
            }
        output.event(
            "query",
            [
                .string("node_id", "\(query.nodeID)"), .string("distance", query.distance),
                .milliseconds("elapsed_ms", query.elapsed), .string("outcome", outcome), .string("detail", detail),
                JSONField("named", named.map { .int(Int64($0)) } ?? .null),
            ])
        output.note(
            "asked \(query.nodeID) at distance \(query.distance.prefix(8))…: \(outcome), \(TerminalText.escape(detail)) "
                + "(\(FixedPoint.duration(query.elapsed)))")
    }
}
