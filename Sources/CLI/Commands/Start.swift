import DeP2P

extension CommandEntry {
    static let start = CommandEntry(
        name: "start",
        summary: "run a node that stays up, until a signal",
        synopses: ["[-o DIR] [--listen ADDR]... [OPTION]...", "--print-config [OPTION]..."],
        description: [
            "Runs a node until a signal ends it, with status 0: it joins the realm if there is a realm key, listens, prints "
                + "its NodeID and the addresses at which others reach it, and tells who comes and goes.",
            "With `-o` it also receives, as `dep2p listen` does: messages are printed, and files appear in DIR under their "
                + "names when their content is verified and safe on disk. That takes a realm.",
            "The port is 4001 unless `--listen` says otherwise, so that others find the node where it was.",
        ],
        operands: .none,
        options: [
            .receptionAllow, .startBootstrapServer, .startHighWatermark, .startIntrospect, .startLowWatermark,
            .receptionMaxSize, .startOutput, .startPrintConfig, .startRealmRelay,
            .receptionReply, .receptionTransfers,
        ],
        common: CommonOptions.identity + CommonOptions.network.filter { $0 != .timeout },
        examples: [
            .init(
                says: "a node of the realm that receives into inbox",
                line: "dep2p start --realm-key realm.key -o inbox"),
            .init(
                says: "one for programs to watch, on a port of its own",
                line: "dep2p start --json --listen :4100"),
            .init(
                says: "one whose page a browser of this machine shows", line: "dep2p start --introspect localhost:9300"),
            .init(says: "what it would run with, and where each value comes from", line: "dep2p start --print-config"),
        ],
        statuses: [.badData, .inputMissing, .cannotCreate, .tryAgain, .permission],
        events: [
            .init("listening", "`node_id`, `addresses` and, with `-o`, `send`, the line to paste.")
        ] + reachabilityEvents + [
            .init(
                "introspection",
                "With `--introspect`: `address`, where programs of this machine see what the node does."),
            .init(
                "realm_relay",
                "The node begins to relay for the members of its realm, or ends it: `state`, `serving` or `stopped`."),
            .peer,
            .init(
                "member",
                "A connection with a member of the realm is there, or the last is gone: `node_id`, and `state` (`joined` or `left`)."
            ),
            .reload,
        ] + receptionEvents + [
            .init(
                "result",
                "With `-o`, adds `files`, `bytes` and `messages`, all that was received. With `--print-config`, `settings`: of "
                    + "each its `name`, `value`, and `from`: `option`, `environment` (with `variable`), `file` (with `path` and "
                    + "`line`), `preset` or `default`; a list is one for each value. And `files`, each with the `path` of a configuration file that was read."
            )
        ],
        notes: [
            "SIGINT and SIGTERM end it: others are told, and what is under way may end within two seconds; a second signal "
                + "ends it at once. SIGHUP reads the configuration anew, and the realm key: `allow`, `realm-key` and "
                + "further `peer`s and names are taken, what else has changed is named. A SIGHUP because the terminal is gone "
                + "ends it.",
            "The command speaks sd_notify(3): it tells a service manager when its sockets are bound, how many members are "
                + "there, that it is alive as often as `WatchdogSec=` asks, when it reads its configuration anew, and when it "
                + "stops. This unit for systemd(1) keeps identity, state and what is received in /var/lib/dep2p, and takes the "
                + "realm key from /etc/dep2p/realm.key, which root alone may read. For a node in no realm leave out "
                + "`LoadCredential=` and `-o`:",
        ],
        listing: ServiceUnit.lines(
            "dep2p node", "start -o %S/dep2p/inbox", also: ["LoadCredential=realm.key:/etc/dep2p/realm.key"]),
        plan: { options throws(CLIError) in try StartPlan(options) })
}

extension OptionEntry {
    static let startBootstrapServer = OptionEntry(
        "bootstrap-server", variable: "DEP2P_BOOTSTRAP_SERVER",
        summary: "serve the DHT from the start: others name this node with --bootstrap",
        paragraphs: [
            "Serve the distributed hash table from the start, for others to begin with: they name this node with "
                + "`--bootstrap`. It has to be reachable by all of them."
        ])
    static let startHighWatermark = OptionEntry(
        "high-watermark", value: .count, variable: "DEP2P_HIGH_WATERMARK",
        summary: "close the least valuable connections beyond so many",
        paragraphs: [
            "Beyond so many connections the least valuable are closed; the default is the preset's. Members of the realm, relays "
                + "and peers that were named are never closed for others. What strangers may have of it grows and shrinks with it."
        ])
    static let startLowWatermark = OptionEntry(
        "low-watermark", value: .count, variable: "DEP2P_LOW_WATERMARK",
        summary: "how many connections are left when some are closed",
        paragraphs: [
            "When connections are closed because there are too many, so many are left; the default is the preset's, or, where "
                + "that is more than `--high-watermark`, a quarter of this."
        ])
    static let startIntrospect = OptionEntry(
        "introspect", value: .address, variable: "DEP2P_INTROSPECT",
        summary: "show what the node does over HTTP, to this machine",
        paragraphs: [
            "Show programs of this machine what the node does, over HTTP at ADDR: `127.0.0.1:PORT`, `[::1]:PORT`, "
                + "`localhost:PORT`, or `unix:PATH`, a socket that only this user may connect to (a path with a slash in it needs "
                + "no `unix:`). `/` is a page for people; `/health`, `/node`, `/connections`, `/realm`, `/relay`, `/dht`, "
                + "`/pubsub` and `/bandwidth` are JSON, `/metrics` is for Prometheus, and `/metrics?peers` names peers there too. A port is open to every "
                + "user of this machine, who then see with whom the node is connected, but no key."
        ])
    static let startPrintConfig = OptionEntry(
        "print-config", summary: "show every setting and where it comes from, and end",
        paragraphs: [
            "Show the value of every setting, and where it comes from: the command line, a variable, a configuration file with "
                + "its line, the preset, or nowhere, which is the default. Nothing else is done; mistakes are told as ever."
        ])
    static let startRealmRelay = OptionEntry(
        "realm-relay", variable: "DEP2P_REALM_RELAY",
        summary: "relay for the members of the realm, when others reach this node (preset server: on)",
        paragraphs: [
            "Relay for the members of the realm, and for nobody else, while others reach this node at a public address: members "
                + "that are not reached straight use it by themselves, and prefer it to relays that are not nearer. The preset "
                + "`server` does so unless its configuration says `realm-relay = no`. What passes is encrypted end to end."
        ])
    static let startOutput = OptionEntry(
        "output", short: "o", value: .directory, variable: "DEP2P_OUTPUT",
        summary: "receive too: messages, and files into DIR, made when missing",
        paragraphs: [
            "Receive what members of the realm send: print messages, and put files into DIR, which is made when it is missing."
        ])
}

struct StartPlan: CommandPlan, Equatable {
    /// Nil: nothing is received.
    let reception: ReceptionPlan?
    let access: AccessPolicy
    let servesDHT: Bool
    let watermarks: Watermarks
    /// Nil: as the preset says.
    let relaysForRealm: Bool?
    /// Where the node is shown; nil: nowhere.
    let introspection: LocalAddress?
    let node: NodePlan
    /// Whether the settings are shown instead.
    let printsConfiguration: Bool

    init(_ options: ResolvedOptions) throws(CLIError) {
        printsConfiguration = options.isSet(.startPrintConfig)
        reception = try Self.reception(options)
        access = try options.access
        servesDHT = options.isSet(.startBootstrapServer)
        watermarks = try Watermarks(options)
        relaysForRealm = options.source(.startRealmRelay) == nil ? nil : options.isSet(.startRealmRelay)
        introspection = try options.value(.startIntrospect, as: ArgumentValue.localAddress)
        node = try NodePlan(options, defaultTimeout: nil)
        guard node.usesDHT || !servesDHT else {
            throw CLIError(.usage, "--bootstrap-server and --no-dht exclude each other")
        }
    }

    private static func reception(_ options: ResolvedOptions) throws(CLIError) -> ReceptionPlan? {
        guard let folder = options.path(.startOutput) else {
            // In a configuration file they may wait for another command that receives.
            let idle = [OptionEntry.receptionMaxSize, .receptionReply, .receptionTransfers]
                .first { options.source($0) == .commandLine }
            if let idle { throw CLIError(.usage, "--\(idle.long) says how to receive, which takes -o DIR") }
            return nil
        }
        guard folder != [UInt8(ascii: "-")] else {
            throw CLIError(
                .usage, "-o - is no folder", hint: "dep2p listen -o - writes what it receives to standard output")
        }
        return try ReceptionPlan(options, to: .directory(folder))
    }

    func run(in context: RunContext) async throws(CLIError) -> CommandResult {
        if printsConfiguration {
            return EffectiveSettings(context.options, preset: Preset.named(node.preset) ?? .desktop).show(
                context.output)
        }
        let destination = try reception?.open()
        var daemon = try Daemon(node, needsRealm: reception != nil, in: context)
        daemon.run.adjust = { [access, introspection, relaysForRealm, servesDHT, watermarks] configuration in
            watermarks.apply(to: &configuration.preset)
            configuration.introspection = introspection
            configuration.reserves = true
            configuration.relaysForRealm = relaysForRealm
            configuration.servesDHT = servesDHT
            configuration.access = access
            configuration.listenAtUsualPort()
        }
        daemon.reloading = reloading(context.output)
        let receiving: Reception?
        if let reception { receiving = await Reception(reception, context.output) } else { receiving = nil }
        _ = try await daemon.serve { [daemon] node in
            receiving?.begin(on: node, destination, daemon.run.events)
            return announce(node, daemon)
        }
        return CommandResult(fields: await receiving?.fields ?? [])
    }

    private func reloading(_ output: Output) -> Reloading {
        Reloading(reloadable: [.receptionAllow, .peer, .realmKey]) { [reception] options throws(CLIError) in
            let new = try StartPlan(options)
            // What came from standard input is gone; a pipe's content too, but that would be an error.
            let isFixed = new.node.realmKey == .standardInput
            let key = isFixed ? nil : try NodeKeys.realm(new.node, needed: reception != nil, output)
            return { node in
                if node.access != new.access { node.access = new.access }
                for peer in new.node.peers + new.node.named { node.learn(peer) }
                guard !isFixed, key?.id != node.realmID else { return [] }
                Self.change(node, to: key)
                output.note(key.map { "now in the realm \($0.id)" } ?? "now in no realm")
                return [OptionEntry.realmKey.long]
            }
        }
    }

    /// Neither can fail: there is one to leave, and then none.
    @NetworkActor
    private static func change(_ node: Node, to key: RealmKey?) {
        if node.realmID != nil { traced("leaving the realm") { try node.leaveRealm() } }
        if let key { traced("joining the realm") { try node.join(key) } }
    }

    /// Nothing is waited for: what a relay grants later is told when it does.
    @NetworkActor
    private func announce(_ node: Node, _ daemon: Daemon) -> String {
        let (output, events) = (daemon.run.context.output, daemon.run.events)
        let relays = RelayReport(output, events)
        let line = reception.map { $0.sendLine(to: node, daemon.run.plan) }
        output.announce(node, title(node), also: line.map { [.string("send", $0)] } ?? [])
        if let address = node.introspectionAddress {
            output.event("introspection", [.string("address", address.description)])
            output.note("shown at \(TerminalText.escape(address.description))")
        }
        output.reportChanges(of: node, events)
        relays.begin()
        let status = { (members: Int) in
            "\(node.nodeID)"
                + (node.realmID == nil ? ", in no realm" : ", \(members) member\(members == 1 ? "" : "s") here")
        }
        let peers = PeerReport(of: node, output, events)
        peers.onMembers = { daemon.notifier.send(.status(status($0))) }
        if reception != nil { output.reportPaths(of: node, events) }
        if let line { output.note("on the other machine: \(line)") }
        return status(0)
    }

    @NetworkActor
    private func title(_ node: Node) -> String {
        "NodeID \(node.nodeID), " + (node.realmID.map { "in the realm \($0)" } ?? "in no realm")
    }
}
