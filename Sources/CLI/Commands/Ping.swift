extension CommandEntry {
    static let ping = CommandEntry(
        name: "ping",
        summary: "measure round trips to a dep2p or libp2p node",
        synopses: ["TARGET [-c N] [-i INTERVAL] [OPTION]..."],
        description: [
            "Connects to TARGET, a NodeID or an address, with or without `/p2p/NODEID`, or `HOST:PORT`, and measures round "
                + "trips over the encrypted connection. Any libp2p node that speaks QUIC answers. No realm is needed.",
            "Succeeds when any reply came; without one the status is 75.",
        ],
        operands: .other,
        options: [.pingCount, .pingInterval, .pingRequireDirect, .pingUntilDirect],
        common: CommonOptions.node,
        examples: [
            .init(says: "four round trips to a node of any libp2p implementation", line: "dep2p ping 192.0.2.7:4001"),
            .init(says: "wait until the path is direct", line: "dep2p ping --until-direct --timeout 1m ADDR"),
        ],
        statuses: [.badData, .unknownPeer, .unavailable, .tryAgain, .protocolViolation],
        events: [
            .init("reply", "`seq`, `rtt_ms` and `path`."),
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
            "End after N round trips. The default is 4; with `--until-direct` there is no end but the timeout."
        ])
    static let pingInterval = OptionEntry(
        "interval", short: "i", value: .duration, summary: "time between round trips (default 1s)",
        paragraphs: ["The time from one round trip's start to the next. The default is `1s`."])
    static let pingRequireDirect = OptionEntry(
        "require-direct", summary: "fail with status 69 unless the path is direct",
        paragraphs: ["Fail with status 69 when the last reply came over a relay."])
    static let pingUntilDirect = OptionEntry(
        "until-direct", summary: "go on until the path is direct",
        paragraphs: ["Go on until a reply comes over a direct path, then end."])
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
        target = try Target(operand)
        untilDirect = options.isSet(.pingUntilDirect)
        requiresDirect = options.isSet(.pingRequireDirect)
        let given = try options.value(.pingCount, as: ArgumentValue.count)
        count = given ?? (untilDirect ? nil : Self.defaultCount)
        interval = try options.value(.pingInterval, as: ArgumentValue.interval) ?? Self.defaultInterval
        node = try NodePlan(options, defaultTimeout: Self.defaultTimeout)
    }

    func run(in context: RunContext) async throws(CLIError) -> CommandResult {
        throw CLIError(.internalError, "ping is not wired yet")
    }
}
