import DeP2P

extension CommandEntry {
    static let ping = CommandEntry(
        name: "ping",
        summary: "measure round trips to a dep2p or libp2p node",
        synopses: ["TARGET [-c N] [-i INTERVAL] [OPTION]..."],
        description: [
            "Connects to TARGET, a NodeID, a name from the configuration, or an address, with or without `/p2p/NODEID`, or `HOST:PORT`, and measures round "
                + "trips over the encrypted connection. Any libp2p node that speaks QUIC answers. No realm is needed.",
            "Succeeds when any reply came; without one the status is 75.",
        ],
        operands: .names,
        options: [.pingCount, .pingInterval, .pingRequireDirect, .pingUntilDirect],
        common: CommonOptions.node,
        examples: [
            .init(says: "four round trips to a node of any libp2p implementation", line: "dep2p ping 192.0.2.7:4001"),
            .init(says: "wait until the path is direct", line: "dep2p ping --until-direct --timeout 1m ADDR"),
        ],
        statuses: [.badData, .unknownPeer, .unavailable, .tryAgain, .protocolViolation],
        events: [
            .init("reply", "`seq`, `rtt_ms` and `path`."),
            .init("path", "The path has changed: `path` as for `dep2p send`."),
            .init(
                "result",
                "Adds `node_id` of who answered, `sent`, `received`, `min_ms`, `avg_ms`, `max_ms`, `p99_ms`, `path`, "
                    + "`agent`, what the peer calls itself, and `relayed_bytes`, what went through relays in both directions "
                    + "until the path was direct. When no connection came about, `attempts` and `sources` "
                    + "as for `dep2p send`."),
        ],
        plan: { options throws(CLIError) in try PingPlan(options) })
}

extension OptionEntry {
    static let pingCount = OptionEntry(
        "count", short: "c", value: .count, summary: "end after N round trips (default 4)",
        paragraphs: [
            "End after N round trips. The default is 4; with `--until-direct` there is no end but `--timeout`."
        ])
    static let pingInterval = OptionEntry(
        "interval", short: "i", value: .duration, summary: "time between round trips (default 1s)",
        paragraphs: [
            "The time from one round trip's start to the next. The default is `1s`, and `10s` with `--until-direct`."
        ])
    static let pingRequireDirect = OptionEntry(
        "require-direct", summary: "fail with status 69 unless the path is direct",
        paragraphs: ["Fail with status 69 when the last reply came over a relay."])
    static let pingUntilDirect = OptionEntry(
        "until-direct", summary: "go on until the path is direct",
        paragraphs: [
            "Go on until a reply comes over a direct path, found by hole punching or otherwise, then end. Whenever the path "
                + "changes a round trip follows at once, so there need be few meanwhile. When `--timeout` is over before, the "
                + "status is 75."
        ])
}

struct PingPlan: CommandPlan, Equatable {
    static let defaultCount = 4
    static let defaultInterval = Duration.seconds(1)
    /// While a direct path is waited for, whose coming is followed by one at once.
    static let patientInterval = Duration.seconds(10)
    static let defaultTimeout = Duration.seconds(10)

    let target: Target
    /// Nil: no end.
    let count: Int?
    let interval: Duration
    let requiresDirect: Bool
    let untilDirect: Bool
    let node: NodePlan

    init(_ options: ResolvedOptions) throws(CLIError) {
        guard let operand = options.operands.first else { throw CLIError(.usage, "no target to ping") }
        if let second = options.operands.dropFirst().first {
            throw CLIError(.usage, "one target at a time: \(second.quoted)")
        }
        target = try options.names.target(operand)
        untilDirect = options.isSet(.pingUntilDirect)
        requiresDirect = options.isSet(.pingRequireDirect)
        let given = try options.value(.pingCount, as: ArgumentValue.count)
        count = given ?? (untilDirect ? nil : Self.defaultCount)
        interval =
            try options.value(.pingInterval, as: ArgumentValue.interval)
            ?? (untilDirect ? Self.patientInterval : Self.defaultInterval)
        node = try NodePlan(options, defaultTimeout: Self.defaultTimeout)
        guard node.usesDirect || !untilDirect else {
            throw CLIError(.usage, "--until-direct and --no-direct exclude each other")
        }
    }

    func run(in context: RunContext) async throws(CLIError) -> CommandResult {
        let run = try NodeRun(node, needsRealm: false, in: context)
        let state = PingState()
        let outcome = try await run.run { node in
            do {
                try await exchange(node, run, state)
            } catch  where state.roundTrips.received > 0 && !Task.isCancelled {
                // There were replies, so the ping is a success that ended early.
                context.output.note("stopped: \(CLIError(error).message)")
            }
        }
        return try await result(outcome, state, context.output)
    }
}

/// What a ping has seen, also of one that was stopped.
@NetworkActor
private final class PingState {
    nonisolated init() {}

    var roundTrips = RoundTrips()
    var connection: NodeConnection?
    var agent: String?

    /// What went through relays, as they count, until the path was a straight one.
    var relayedBytes: UInt64? {
        guard let statistics = connection?.statistics else { return nil }
        return (statistics.relayedBeforeStraight ?? statistics.traffic[.relay]?.wire)?.both
    }

    var fields: [JSONField] {
        [
            .string("node_id", connection?.nodeID.description)
        ] + roundTrips.fields + [.string("path", connection?.path.description), .string("agent", agent)]
            + (relayedBytes.map { [.int("relayed_bytes", $0)] } ?? [])
    }
}

extension PingPlan {
    @NetworkActor
    private func exchange(_ node: Node, _ run: NodeRun, _ state: PingState) async throws {
        let output = run.context.output
        let connection = try await node.connect(to: target.dialTarget, timeout: run.timeout)
        state.connection = connection
        for line in AttemptTable.lines(connection.attempts) { output.detail(line) }
        run.events.observe { event in
            guard case .session(let subject, .moved(let path)) = event, subject.id == connection.id else { return }
            output.event("path", [.string("path", path.description)])
            output.detail("the path is now \(path)")
        }
        for try await reply in connection.pings(options(run)) {
            note(reply, state, output)
            if untilDirect, !reply.path.isRelayed { break }
        }
        // Who it is says a node that knows identify; an answer that fails to come is no failure of the ping.
        state.agent = await traced(awaiting: "who the peer is") { try await connection.agent() } ?? nil
    }

    private func options(_ run: NodeRun) -> PingOptions {
        var options = PingOptions(count: count)
        (options.interval, options.timeout) = (interval, run.timeout)
        options.duration = untilDirect ? run.timeout : nil
        options.followsPath = untilDirect
        return options
    }

    @NetworkActor
    private func note(_ reply: PingReply, _ state: PingState, _ output: Output) {
        state.roundTrips.recordSent()
        guard let time = reply.roundTrip else {
            return output.note("no reply to \(reply.number) in \(FixedPoint.duration(reply.waited))")
        }
        state.roundTrips.record(time)
        let path = reply.path.description
        output.event(
            "reply", [.int("seq", reply.number), .milliseconds("rtt_ms", time), .string("path", path)])
        output.result("reply \(reply.number)  \(FixedPoint.duration(time))  \(path)")
    }

    @NetworkActor
    private func result(
        _ outcome: NodeRun.Outcome<Void>, _ state: PingState, _ output: Output
    ) throws(CLIError) -> CommandResult {
        let peer = state.connection.map { " from \($0.nodeID) over \($0.path)" } ?? ""
        let agent = state.agent.map { " (\(TerminalText.escape($0)))" } ?? ""
        if state.roundTrips.sent > 0 { output.result(state.roundTrips.summary + peer + agent) }
        if let relayed = state.relayedBytes, relayed > 0 { output.note("\(relayed) bytes went through a relay") }
        if case .interrupted(let reason) = outcome {
            return CommandResult(fields: state.fields, status: reason.status)
        }
        guard state.roundTrips.received > 0 else {
            throw CLIError(.timeout, "no reply", hint: "--timeout sets how long to wait", fields: state.fields)
        }
        guard let path = state.connection?.path, path.isRelayed else { return CommandResult(fields: state.fields) }
        if requiresDirect {
            throw CLIError(
                .notDirect, "the path is \(path), not direct",
                hint: "--until-direct waits for a direct path", fields: state.fields)
        }
        if untilDirect {
            throw CLIError(
                .timeout, "no direct path was found: the path is \(path)",
                hint: "--timeout sets how long to wait", fields: state.fields)
        }
        return CommandResult(fields: state.fields)
    }
}
