import DeP2P

/// Runs a node for a command: keys, start, realm, the command's own work, an orderly end.
struct NodeRun: Sendable {
    enum Outcome<Value: Sendable>: Sendable {
        case finished(Value)
        case interrupted(Interruption.Reason)
    }

    let plan: NodePlan
    let context: RunContext
    let keys: NodeKeys
    /// What the node tells, for whoever wants to hear.
    let events = EventReader()
    /// What a command changes in the node's configuration.
    var adjust: @Sendable (inout NodeConfiguration) throws(DeP2PError) -> Void = { _ in }

    /// Reads the keys and says hello.
    init(_ plan: NodePlan, needsRealm: Bool, in context: RunContext) throws(CLIError) {
        self.plan = plan
        self.context = context
        keys = try NodeKeys.load(plan, needsRealm: needsRealm, context.output)
        context.output.hello(nodeID: keys.identity.nodeID.description)
    }

    /// Starts the node, does the work, and stops the node whatever came of it.
    ///
    /// - Returns: what the work gave, or why it was stopped.
    func run<Value: Sendable>(
        _ work: @escaping @NetworkActor @Sendable (Node) async throws -> Value
    ) async throws(CLIError) -> Outcome<Value> {
        context.interruption.becomeGraceful()
        do {
            let node = try await Node.start(try configuration())
            await events.begin(on: node, context.output)
            if let key = keys.realm { try await node.join(key) }
            let outcome: Result<Outcome<Value>, any Error>
            do { outcome = .success(try await race(node, work)) } catch { outcome = .failure(error) }
            await node.stop()
            await events.finish()
            return try outcome.get()
        } catch {
            if let reason = context.interruption.reason, error is CancellationError { return .interrupted(reason) }
            throw CLIError(error)
        }
    }

    /// The wish to end cancels the work, which then has the time that the node's stop takes.
    private func race<Value: Sendable>(
        _ node: Node, _ work: @escaping @NetworkActor @Sendable (Node) async throws -> Value
    ) async throws -> Outcome<Value> {
        try await withThrowingTaskGroup(of: Outcome<Value>?.self) { group in
            group.addTask { .finished(try await work(node)) }
            group.addTask { [context] in await context.interruption.wait().map { .interrupted($0) } }
            defer { group.cancelAll() }
            while let outcome = try await group.next() {
                if let outcome { return outcome }
            }
            throw CancellationError()
        }
    }

    private func configuration() throws(DeP2PError) -> NodeConfiguration {
        var configuration = NodeConfiguration(identity: keys.identity)
        configuration.knownPeers = plan.peers + plan.named
        configuration.agent = "\(Release.program)/\(Release.version)"
        configuration.relays = plan.relays
        configuration.usesRelays = plan.usesRelay
        configuration.usesDirect = plan.usesDirect
        // A command that only sends needs no way in.
        configuration.reserves = false
        if !plan.mapsPorts { configuration.mapsPorts = false }
        configuration.usesMDNS = plan.usesMDNS
        configuration.usesDHT = plan.usesDHT
        configuration.bootstrap = plan.bootstrap
        configuration.usesMainline = plan.usesMainline
        if !plan.mainlineNodes.isEmpty { configuration.mainlineNodes = plan.mainlineNodes }
        // With a realm key there is no time at which the NodeID may be shown, not even before the realm is entered.
        let isHidden = plan.showsNodeID == .outsideRealms && keys.realm != nil
        configuration.showsNodeID = isHidden ? .never : plan.showsNodeID
        if let preset = Preset.named(plan.preset) { configuration.preset = preset }
        for address in plan.listen {
            switch address {
            case .anyHost(let port): configuration.listen += NodeConfiguration.anyAddress(port: port)
            case .address(let address): try configuration.listen(on: address)
            }
        }
        configuration.stateDirectory = plan.stateDirectory.flatMap { String(validating: $0, as: UTF8.self) }
        configuration.isEphemeral = plan.identity == .ephemeral
        try adjust(&configuration)
        return configuration
    }

    /// The timeout as the engine takes it, where nil would mean its own default.
    var timeout: Duration { plan.timeout ?? ArgumentValue.longestDuration }
}

extension EventReader {
    /// Begins, and says what every command says.
    fileprivate func begin(on node: Node, _ output: Output) {
        observe { event in
            switch event {
            case .storage(let notice): output.report(notice)
            case .dropped(let count): output.event("dropped", [.int("count", count)])
            default: break
            }
        }
        begin(on: node)
    }
}

extension Output {
    /// Says when what the node remembers cannot be kept: it matters to the next run, not to this one.
    fileprivate func report(_ notice: StorageNotice) {
        event(
            "storage",
            [
                .string("state", notice.kind.rawValue), .string("reason", notice.reason), .string("path", notice.path),
            ])
        note(TerminalText.escape(notice.message))
    }
}

extension Target {
    var dialTarget: DialTarget {
        switch self {
        case .nodeID(let id): DialTarget(nodeID: id, addresses: [])
        case .address(let address): DialTarget(addresses: [address])
        }
    }
}
