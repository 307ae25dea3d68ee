import DeP2P

extension CommandEntry {
    static let natCheck = CommandEntry(
        name: "nat-check",
        summary: "find out what this network allows for connecting",
        synopses: ["[--server ADDR]... [OPTION]..."],
        description: [
            "Asks servers how they see this machine and tells from their answers whether UDP passes, over IPv4 and IPv6, "
                + "whether there is an address translation (NAT), whom it lets in, and which packets get through; asks "
                + "the gateway which port mapping protocols it speaks; and says in one sentence who will reach whom and "
                + "how.",
            "Any dep2p node and any STUN server can be asked. Two at different addresses tell how the NAT maps ports, and "
                + "one dep2p node among them whom it lets in. Without `--server`, the relays and peers of `--relay` and "
                + "`--peer` are asked, or those of the configuration. Nobody else is contacted.",
            "What the servers could not tell is shown as `not determined`, and is `null` in JSON.",
        ],
        operands: .none,
        options: [.natCheckServer],
        common: [.peer, .relay, .timeout],
        examples: [
            .init(
                says: "ask two relays",
                line: "dep2p nat-check --server relay.example:4001 --server 192.0.2.7:4001"),
            .init(says: "ask the relays of the configuration", line: "dep2p nat-check"),
            .init(says: "what a program makes of it", line: "dep2p nat-check --json | tail -n 1 | jq -r .verdict"),
        ],
        statuses: [.badData, .unknownPeer, .unavailable],
        events: [
            .init(
                "result",
                "Adds `udp`, `ipv4` and `ipv6`: whether they work; `mapping` and `filtering` as RFC 4787 names them; "
                    + "`nat_type`, the familiar name; `observed`, this machine's addresses as others see them; "
                    + "`port_mapping`, what the gateway speaks of `pcp`, `nat_pmp` and `upnp`; `observers`, each with "
                    + "`server`, `observed` and `rtt_ms`; `observers_asked`; `verdict`. Also `hairpin`, `ports` (how "
                    + "ports are chosen), `mtu`, `loss_percent` and `throttled` of a burst, `tcp` and `captive_portal`, "
                    + "`ipv6_nat_type`, and `interfaces`, this machine's own addresses.")
        ],
        notes: [
            "Status 0 says that a server answered; 69 that none did, because UDP is blocked, or for another reason, or "
                + "because there was none to ask.",
            "When the time of `--timeout` passes (the default is `15s`, all tests take less), what is known by then is shown.",
        ],
        plan: { options throws(CLIError) in try NATCheckPlan(options) })
}

extension OptionEntry {
    static let natCheckServer = OptionEntry(
        "server", value: .peer, repeats: true, summary: "a dep2p node or STUN server to ask (repeatable)",
        paragraphs: [
            "Ask this server: `HOST:PORT` or a multiaddr of a dep2p node, or `HOST:PORT` of a STUN server. Then relays and "
                + "peers are not asked."
        ])
}

struct NATCheckPlan: CommandPlan, Equatable {
    /// Longer than all tests take.
    static let defaultTimeout = Duration.seconds(15)

    let servers: [Address]
    /// Nil: every test is waited for.
    let timeout: Duration?

    init(_ options: ResolvedOptions) throws(CLIError) {
        let names = options.names
        let named = try options.values(.natCheckServer, as: names.address)
        let known =
            try options.values(.relay, as: names.peerAddress) + options.values(.peer, as: names.peerAddress)
        servers = named.isEmpty ? known : named
        timeout = try options.value(.timeout, as: ArgumentValue.timeout) ?? Self.defaultTimeout
    }

    func run(in context: RunContext) async throws(CLIError) -> CommandResult {
        context.output.hello(nodeID: nil)
        let check: NetworkCheck
        do { check = try await NetworkCheck.run(servers: servers, limit: timeout) } catch { throw CLIError(error) }
        for item in check.unusable {
            context.output.note("can't ask \(item.address): \(TerminalText.escape(item.reason))")
        }
        for line in NATCheckTable.lines(check) { context.output.result(line) }
        let fields = NATCheckTable.fields(check)
        if check.report.observers > 0 {
            context.output.result("\n\(check.report.verdict)")
            return CommandResult(fields: fields)
        }
        throw failure(check, fields)
    }

    private func failure(_ check: NetworkCheck, _ fields: [JSONField]) -> CLIError {
        let report = check.report
        if servers.isEmpty {
            return CLIError(
                .noObserver, report.verdict,
                hint: "a dep2p node or a STUN server can be asked, as in --server HOST:PORT",
                fields: fields)
        }
        if report.observersAsked == 0, !check.unusable.isEmpty {
            return CLIError(
                .unknownHost, "no server could be asked",
                details: check.unusable.map { "  \($0.address): \(TerminalText.escape($0.reason))" }, fields: fields)
        }
        return CLIError(
            report.udp == false ? .udpBlocked : .noObserver, report.verdict,
            hint: report.udp == false ? "a relay with a TCP address gets through" : "check the servers, or ask others",
            fields: fields)
    }
}
