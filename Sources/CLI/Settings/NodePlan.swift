import DeP2P

/// The part of a plan that every command with a node shares: who it is, its realm, and its ways into the network.
struct NodePlan: Equatable, Sendable {
    enum IdentitySource: Equatable, Sendable {
        /// Made for this run, written nowhere.
        case ephemeral
        /// A file that must exist.
        case file([UInt8])
        /// The first of these that exists, or else the last one, made now.
        case standard([[UInt8]])
    }

    enum RealmKeySource: Equatable, Sendable {
        case standardInput
        case file([UInt8])
        /// The first of these that exists; none is no realm.
        case standard([[UInt8]])
    }

    let identity: IdentitySource
    let passphraseFile: [UInt8]?
    /// Whether one of the files is standard input, so that nothing else can read it.
    let readsStandardInput: Bool
    let realmKey: RealmKeySource
    /// Empty: both families, a free port.
    let listen: [ListenAddress]
    let peers: [Address]
    /// Addresses of the nodes that the configuration names.
    let named: [Address]
    let relays: [Address]
    let bootstrap: [Address]
    let usesDHT: Bool
    let usesMainline: Bool
    /// Empty: those that everybody uses.
    let mainlineNodes: [String]
    let usesDirect: Bool
    let usesRelay: Bool
    let mapsPorts: Bool
    let usesMDNS: Bool
    let showsNodeID: NodeIDShowing
    let preset: String
    let stateDirectory: [UInt8]?
    /// Nil: for ever.
    let timeout: Duration?

    /// - Parameter defaultTimeout: nil for a command that by itself waits for ever.
    init(_ options: ResolvedOptions, defaultTimeout: Duration?) throws(CLIError) {
        identity = try Self.identity(options)
        passphraseFile = options.path(.passphraseFile)
        realmKey = Self.realmKey(options)
        let readers = [
            ("--config", options.path(.config)), ("--passphrase-file", passphraseFile),
            ("--realm-key", options.path(.realmKey)),
        ]
        try StandardInput.checkSingleReader(readers)
        readsStandardInput = readers.contains { $0.1 == [UInt8(ascii: "-")] }
        listen = try options.values(.listen) { argument throws(CLIError) in try ListenAddress(argument) }
        let names = options.names
        peers = try options.values(.peer, as: names.peerAddress)
        relays = try options.values(.relay, as: names.peerAddress)
        bootstrap = try options.values(.bootstrap, as: names.peerAddress)
        usesDHT = !options.isSet(.noDHT)
        usesMainline = options.isSet(.mainline)
        mainlineNodes = try options.values(.mainlineNode, as: ArgumentValue.hostPort)
        named = names.addresses
        usesDirect = !options.isSet(.noDirect)
        usesRelay = !options.isSet(.noRelay)
        mapsPorts = !options.isSet(.noPortMapping)
        usesMDNS = !options.isSet(.noMDNS)
        showsNodeID =
            try options.value(.showNodeID) { argument throws(CLIError) in
                try Self.choice(argument, of: .showNodeID, "no such time")
            }.flatMap(Self.showing) ?? .outsideRealms
        preset = try options.value(.preset) { argument throws(CLIError) in try Self.preset(argument) } ?? "desktop"
        stateDirectory = options.path(.stateDir) ?? options.paths.state
        timeout = try options.value(.timeout, as: ArgumentValue.timeout) ?? defaultTimeout
    }

    /// Nodes of the DHT that a lookup may begin with.
    var dhtEntrances: [Address] { bootstrap + relays + peers }

    private static func identity(_ options: ResolvedOptions) throws(CLIError) -> IdentitySource {
        if options.isSet(.ephemeral), options.isSet(.identity) {
            let ranks = (options.source(.ephemeral)?.rank ?? 0, options.source(.identity)?.rank ?? 0)
            guard ranks.0 != ranks.1 else { throw CLIError(.usage, "--ephemeral and --identity exclude each other") }
            if ranks.0 < ranks.1 { return .ephemeral }
        } else if options.isSet(.ephemeral) {
            return .ephemeral
        }
        return options.path(.identity).map(IdentitySource.file) ?? .standard(options.paths.identityFiles)
    }

    private static func realmKey(_ options: ResolvedOptions) -> RealmKeySource {
        guard let path = options.path(.realmKey) else { return .standard(options.paths.realmKeyFiles) }
        return path == [UInt8(ascii: "-")] ? .standardInput : .file(path)
    }

    private static func preset(_ argument: Argument) throws(CLIError) -> String {
        try choice(argument, of: .preset, "no such preset")
    }

    /// One of an option's choices.
    static func choice(
        _ argument: Argument, of option: OptionEntry, _ complaint: String
    ) throws(CLIError) -> String {
        guard case .choices(let names) = option.value?.completion else { return "" }
        if let name = argument.text, names.contains(name) { return name }
        let near = argument.text.flatMap { NameSuggestion.nearest(to: $0, among: names) }
        throw CLIError(
            .badValue, "\(complaint): \(argument.quoted)",
            hint: near.map { "did you mean \($0)?" } ?? "one of \(names.joined(separator: ", "))")
    }

    private static func showing(_ name: String) -> NodeIDShowing? {
        name == "outside-realms" ? .outsideRealms : NodeIDShowing(rawValue: name)
    }
}
