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
                "Adds `node_id` of who answered, `sent`, `received`, `min_ms`, `avg_ms`, `max_ms`, `p99_ms`, `path` and "
                    + "`agent`, what the peer calls itself. When no connection came about, `attempts` as for "
                    + "`dep2p send`."),
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
        paragraphs: ["The time from one round trip's start to the next. The default is `1s`."])
    static let pingRequireDirect = OptionEntry(
        "require-direct", summary: "fail with status 69 unless the path is direct",
        paragraphs: ["Fail with status 69 when the last reply came over a relay."])
    static let pingUntilDirect = OptionEntry(
        "until-direct", summary: "go on until the path is direct",
        paragraphs: [
            "Go on until a reply comes over a direct path, found by hole punching or otherwise, then end. When `--timeout` is "
                + "over before, the status is 75."
        ])
}

struct PingPlan: CommandPlan, Equatable {
    static let defaultCount = 4
    static let defaultInterval = Duration.seconds(1)
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
        interval = try options.value(.pingInterval, as: ArgumentValue.interval) ?? Self.defaultInterval
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
            } catch  where state.roundTrips.received > 0 && !(error is CancellationError) {
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
    var session: Session?
    var agent: String?

    var fields: [JSONField] {
        [
            .string("node_id", session?.remoteNodeID.description)
        ] + roundTrips.fields + [.string("path", session?.path.description), .string("agent", agent)]
    }
}

extension PingPlan {
    @NetworkActor
    private func exchange(_ node: Node, _ run: NodeRun, _ state: PingState) async throws {
        let output = run.context.output
        let session = try await node.connect(to: target.dialTarget, timeout: run.timeout)
        state.session = session
        for line in AttemptTable.lines(session.attempts) { output.detail(line) }
        let pinger = try await node.ping(session)
        defer { pinger.close() }
        let changes = PathChanges(session, run.events, output)
        let deadline = node.clock.now.advanced(by: run.timeout)
        var sequence = 0
        while count.map({ sequence < $0 }) ?? true {
            if sequence > 0 { try await changes.pause(for: interval, endsOnChange: untilDirect, on: node.clock) }
            let left = deadline.duration(since: node.clock.now)
            if untilDirect, left == .zero { break }
            sequence += 1
            try await once(sequence, pinger, session, untilDirect ? left : run.timeout, state, output)
            if untilDirect, isDirect(session) { break }
        }
        // Who it is says a node that knows identify; an answer that fails to come is no failure of the ping.
        state.agent = await traced(awaiting: "who the peer is") { try await node.identify(session) }?.agentVersion
    }

    @NetworkActor
    private func once(
        _ sequence: Int, _ pinger: Pinger, _ session: Session, _ timeout: Duration, _ state: PingState,
        _ output: Output
    ) async throws {
        state.roundTrips.recordSent()
        let time: Duration
        do {
            time = try await pinger.ping(timeout: timeout)
        } catch let error as SessionError where error.code == .timeout {
            return output.note("no reply to \(sequence) in \(FixedPoint.duration(timeout))")
        }
        state.roundTrips.record(time)
        let path = session.path.description
        output.event("reply", [.int("seq", sequence), .milliseconds("rtt_ms", time), .string("path", path)])
        output.result("reply \(sequence)  \(FixedPoint.duration(time))  \(path)")
    }

    @NetworkActor
    private func isDirect(_ session: Session) -> Bool { session.path.peerAddress != nil }

    @NetworkActor
    private func result(
        _ outcome: NodeRun.Outcome<Void>, _ state: PingState, _ output: Output
    ) throws(CLIError) -> CommandResult {
        let peer = state.session.map { " from \($0.remoteNodeID) over \($0.path)" } ?? ""
        let agent = state.agent.map { " (\(TerminalText.escape($0)))" } ?? ""
        if state.roundTrips.sent > 0 { output.result(state.roundTrips.summary + peer + agent) }
        if case .interrupted(let reason) = outcome {
            return CommandResult(fields: state.fields, status: reason.status)
        }
        guard state.roundTrips.received > 0 else {
            throw CLIError(.timeout, "no reply", hint: "--timeout sets how long to wait", fields: state.fields)
        }
        guard let session = state.session, !isDirect(session) else { return CommandResult(fields: state.fields) }
        if requiresDirect {
            throw CLIError(
                .notDirect, "the path is \(session.path), not direct",
                hint: "--until-direct waits for a direct path", fields: state.fields)
        }
        if untilDirect {
            throw CLIError(
                .timeout, "no direct path was found: the path is \(session.path)",
                hint: "--timeout sets how long to wait", fields: state.fields)
        }
        return CommandResult(fields: state.fields)
    }
}

/// Tells of each path that a session takes, and ends a pause when it takes another.
@NetworkActor
private final class PathChanges {
    private var waiter: Waiter<Void>?

    init(_ session: Session, _ events: EventReader, _ output: Output) {
        events.observe { [weak self] event in
            guard case .session(let subject, .moved(let path)) = event, subject.id == session.id else { return }
            output.event("path", [.string("path", path.description)])
            output.detail("the path is now \(path)")
            self?.waiter?.resume(returning: ())
        }
    }

    func pause(for interval: Duration, endsOnChange: Bool, on clock: any NetworkClock) async throws {
        guard endsOnChange else { return try await clock.sleep(for: interval) }
        let waiter = Waiter<Void>()
        self.waiter = waiter
        let token = clock.schedule(after: interval) { waiter.resume(returning: ()) }
        defer {
            clock.cancel(token)
            self.waiter = nil
        }
        try await waiter.value()
    }
}
