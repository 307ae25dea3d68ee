import DeP2P

/// What a lookup has come to, in JSON, for people, and as a status.
struct DHTFindResult {
    private let wanted: DHTFindPlan.Wanted
    private let finding: DHTFinding

    init(_ wanted: DHTFindPlan.Wanted, _ finding: DHTFinding) { (self.wanted, self.finding) = (wanted, finding) }

    func result(_ output: Output) throws(CLIError) -> CommandResult {
        let lines = lines
        guard lines.isEmpty else {
            for line in lines { output.result(line) }
            output.note(
                "found \(finding.isRealmRecord ? "in its realm's record " : "")after \(finding.hops) "
                    + "hop\(finding.hops == 1 ? "" : "s"); "
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
        throw notFound
    }

    private var fields: [JSONField] {
        [JSONField("addresses", .texts(finding.addresses))] + found + [
            .int("hops", finding.hops), .int("queried", finding.queried), .int("answered", finding.answered),
            JSONField("closest", .texts(finding.closest)),
        ]
    }

    /// What was looked for instead of a node.
    private var found: [JSONField] {
        switch wanted {
        case .node: [.bool("realm_record", finding.isRealmRecord)]
        case .record:
            [
                JSONField(
                    "record",
                    finding.record.map { record in
                        .object([
                            .int("seq", record.seq), .string("value_base64", Base64.encode(record.value)),
                        ])
                    } ?? .null)
            ]
        case .providers:
            [
                JSONField(
                    "providers",
                    .array(
                        finding.providers.map { provider in
                            .object([
                                .string("node_id", "\(provider.nodeID)"),
                                JSONField("addresses", .texts(provider.addresses)),
                            ])
                        }))
            ]
        }
    }

    private var lines: [String] {
        switch wanted {
        case .node: finding.addresses.map { "\($0)" }
        case .record:
            finding.record.map { record in
                [
                    String(validating: record.value, as: UTF8.self).map(TerminalText.escape)
                        ?? Base64.encode(record.value)
                ]
            } ?? []
        case .providers: finding.providers.flatMap { $0.addresses.map { "\($0)" } }
        }
    }

    private var notFound: CLIError {
        switch wanted {
        case .node(let nodeID):
            CLIError(
                .unknownPeer, "nobody in the DHT knows where \(nodeID) is",
                hint: "a node is found there while it runs, with a bootstrap node of the same network", fields: fields)
        case .record:
            CLIError(
                .notFound, "nobody in the DHT has a record of that key",
                hint: "a record is kept for three hours after it was last stored", fields: fields)
        case .providers(let cid):
            CLIError(
                .notFound, "nobody in the DHT knows who provides \(cid)",
                hint: "who provides something says so again while it runs", fields: fields)
        }
    }
}

/// Tells of each node that a lookup has asked.
struct DHTQueryReport: Sendable {
    private let output: Output

    init(_ output: Output) { self.output = output }

    func tell(_ query: DHTQuery) {
        let (outcome, detail, named): (String, String, Int?) =
            switch query.outcome {
            case .answered(let count): ("answered", detail(query, naming: count), count)
            case .failed(let error): (error.code.rawValue, error.message, nil)
            }
        output.event(
            "query",
            [
                .string("node_id", "\(query.nodeID)"), .string("distance", query.distance),
                .milliseconds("elapsed_ms", query.elapsed), .string("outcome", outcome), .string("detail", detail),
                JSONField("named", named.map { .int(Int64($0)) } ?? .null), .bool("holds", query.holds),
            ])
        output.note(
            "asked \(query.nodeID) at distance \(query.distance.prefix(8))…: \(outcome), \(TerminalText.escape(detail)) "
                + "(\(FixedPoint.duration(query.elapsed)))")
    }

    private func detail(_ query: DHTQuery, naming count: Int) -> String {
        "named \(count) node\(count == 1 ? "" : "s")" + (query.holds ? ", has it" : "")
    }
}

extension JSONValue {
    fileprivate static func texts(_ values: [some CustomStringConvertible]) -> Self {
        .array(values.map { .string("\($0)") })
    }
}
