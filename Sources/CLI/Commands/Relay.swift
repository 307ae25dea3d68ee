import DeP2P
import Glibc

extension CommandEntry {
    static let relay = CommandEntry(
        name: "relay",
        summary: "carry connections between nodes that can't reach each other",
        synopses: ["[--listen ADDR]... [--tcp-listen ADDR]... [LIMIT]... [OPTION]..."],
        description: [
            "Runs a relay until a signal ends it, with status 0. A node that gives this relay with `--relay` is reachable "
                + "through it; what passes is encrypted end to end, and the relay can neither read nor change it. The "
                + "relay answers STUN too, tells nodes whether strangers' packets reach them, and serves the DHT, by which nodes are found.",
            "With a realm key only members of the realm are served, without one, or with `--public`, anyone.",
            "Every limit is told to the clients, and named when it is reached.",
            "Some networks block UDP. With `--tcp-listen` the same datagrams also travel inside TLS over TCP; a node notices "
                + "within two seconds that UDP is blocked, remembers it of that network, and goes back to UDP when it works "
                + "again.",
        ],
        operands: .none,
        options: OptionEntry.relayOptions,
        common: CommonOptions.identity + [.bootstrap, .listen, .noDHT, .noPortMapping, .preset],
        examples: [
            .init(says: "a relay for one's own realm", line: "dep2p relay --realm-key realm.key"),
            .init(
                says: "a public one with narrow circuits",
                line: "dep2p relay --public --circuit-rate 1MiB --circuit-bytes 1GiB"),
            .init(
                says: "one that is also there for networks that block UDP",
                line: "dep2p relay --realm-key realm.key --tcp-listen :443"),
        ],
        statuses: [.badData, .inputMissing, .tryAgain, .permission],
        events: [
            .init("listening", "`node_id`, `addresses`."),
            .init("port_mapping", "As for `dep2p listen`."),
            .init("reachability", "As for `dep2p listen`."),
            .init("addresses", "As for `dep2p listen`."),
            .init("reservation", "`node_id` and `state`: `granted`, `renewed` or `ended`."),
            .init(
                "circuit",
                "`from`, `to` and `state`: `opened` or `closed`; when closed also `bytes` carried and `reason`."),
            .init("refused", "A request was refused: `node_id` and `reason`."),
            .init(
                "stats",
                "On SIGUSR1: `reservations` and `circuits` now; `opened_circuits`, `refusals`, `bytes` and "
                    + "`stray_datagrams` so far."),
            .reload,
            .init("result", "Adds what `stats` has."),
        ],
        notes: [
            "The port is 4001 unless `--listen` says otherwise, and the preset is `server` unless `--preset` does.",
            "SIGHUP reads the configuration file and its limits anew; circuits that are open keep theirs. SIGUSR1 reports "
                + "what the relay carries. SIGINT and SIGTERM end it: circuits are told first.",
            "The command speaks sd_notify(3), the watchdog's signs of life included. This unit for systemd(1) keeps the relay's "
                + "identity in /var/lib/dep2p. The relay of a realm also needs `LoadCredential=realm.key:/etc/dep2p/realm.key`, "
                + "and a port below 1024, as in `--tcp-listen :443`, `CapabilityBoundingSet=CAP_NET_BIND_SERVICE`, "
                + "`AmbientCapabilities=CAP_NET_BIND_SERVICE` and no `PrivateUsers=yes`:",
        ],
        listing: ServiceUnit.lines("dep2p relay", "relay"),
        plan: { options throws(CLIError) in try RelayPlan(options) })
}

struct RelayPlan: CommandPlan {
    let limits: RelayLimits
    let isPublic: Bool
    let tcpListen: [ListenAddress]
    /// Many clients are what a relay is for: without a choice the preset is `server`.
    let preset: Preset?
    let node: NodePlan

    init(_ options: ResolvedOptions) throws(CLIError) {
        limits = try RelayLimits(options)
        isPublic = options.isSet(.relayPublic)
        tcpListen = try options.values(.relayTCPListen) { argument throws(CLIError) in
            try ListenAddress(tcp: argument)
        }
        node = try NodePlan(options, defaultTimeout: nil)
        preset = options.isSet(.preset) ? nil : .server
    }

    func run(in context: RunContext) async throws(CLIError) -> CommandResult {
        var daemon = try Daemon(node, needsRealm: false, in: context)
        let membersOnly = daemon.run.keys.realm != nil && !isPublic
        daemon.run.adjust = { [limits, tcpListen, preset] configuration throws(DeP2PError) in
            if let preset { configuration.preset = preset }
            for address in tcpListen {
                switch address {
                case .anyHost(let port): configuration.tcpListen += NodeConfiguration.anyAddress(port: port)
                case .address(let address): try configuration.listen(overTCP: address)
                }
            }
            configuration.listenAtUsualPort()
            configuration.usesMDNS = false
            if configuration.mapsPorts == nil { configuration.mapsPorts = configuration.preset.mapsPorts }
            configuration.relay = RelayConfiguration(limits: limits, membersOnly: membersOnly)
        }
        daemon.reloading = Reloading(reloadable: OptionEntry.relayLimits) { options throws(CLIError) in
            let limits = try RelayPlan(options).limits
            return { node in
                node.changeRelayLimits(to: limits)
                return []
            }
        }
        let last = LastStatistics()
        _ = try await daemon.serve { [run = daemon.run] node in
            announce(node, membersOnly: membersOnly, run)
            return "relay \(node.nodeID)"
        } until: { node in
            defer { last.value = node.relayStatistics ?? RelayStatistics() }
            try await Waiter<Void>().value()
        }
        return CommandResult(fields: await last.value.fields)
    }

    @NetworkActor
    private func announce(_ node: Node, membersOnly: Bool, _ run: NodeRun) {
        let context = run.context
        let output = context.output
        output.announce(node, "relay \(node.nodeID), for \(membersOnly ? "members of the realm" : "anyone")")
        output.reportChanges(of: node, run.events)
        run.events.observe { event in
            if case .relaying(let event) = event { output.report(event) }
        }
        context.interruption.on(SIGUSR1) {
            networkTask {
                guard let statistics = node.relayStatistics else { return }
                output.event("stats", statistics.fields)
                output.note(statistics.text)
            }
        }
    }
}

/// What the relay had done when its node was still there.
@NetworkActor
private final class LastStatistics {
    nonisolated init() {}

    var value = RelayStatistics()
}

extension Output {
    fileprivate func report(_ event: RelayingEvent) {
        switch event {
        case .reserved(let node, let isRenewal):
            reservation(node, isRenewal ? "renewed" : "granted")
        case .reservationEnded(let node): reservation(node, "ended")
        case .opened(_, let from, let to):
            self.event("circuit", [.string("state", "opened"), .string("from", "\(from)"), .string("to", "\(to)")])
            detail("circuit from \(from) to \(to)")
        case .closed(_, let from, let to, let bytes, let reason):
            self.event(
                "circuit",
                [
                    .string("state", "closed"), .string("from", "\(from)"), .string("to", "\(to)"),
                    .int("bytes", bytes), .string("reason", "\(reason)"),
                ])
            detail(
                "circuit from \(from) to \(to) ended after \(FixedPoint.bytes(bytes)): \(reason)\(own(reason.remedy))")
        case .refused(let node, let error):
            self.event("refused", [.string("node_id", "\(node)"), .string("reason", "\(error)")])
            detail("refused \(node): \(error)\(own(error.remedy))")
        }
    }

    /// How to raise a limit of this very relay.
    private func own(_ remedy: Remedy?) -> String {
        guard case .raiseRelayLimit(let name)? = remedy, let option = RelayLimits.options[name] else { return "" }
        return "; --\(option.long) raises it"
    }

    private func reservation(_ node: NodeID, _ state: String) {
        event("reservation", [.string("node_id", "\(node)"), .string("state", state)])
        detail("reservation of \(node) \(state)")
    }
}

extension RelayStatistics {
    fileprivate var fields: [JSONField] {
        [
            .int("reservations", reservations), .int("circuits", circuits), .int("opened_circuits", openedCircuits),
            .int("refusals", refusals), .int("bytes", forwardedBytes), .int("stray_datagrams", strayDatagrams),
        ]
    }

    fileprivate var text: String {
        "\(reservations) reservations, \(circuits) circuits, \(openedCircuits) opened so far, "
            + "\(FixedPoint.bytes(forwardedBytes)) carried, \(refusals) refusals"
    }
}
