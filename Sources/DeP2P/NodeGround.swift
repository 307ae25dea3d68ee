internal import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReach
internal import DeP2PReactor
internal import DeP2PSessions
internal import DeP2PStorage

/// What all else of a node stands on: its identity, its socket and its connections.
@NetworkActor
struct NodeGround {
    let key: IdentityKey
    let endpoint: Endpoint
    let dialer: Dialer
    let connections: Connections
    let interfaces: InterfaceCache
    private let configuration: NodeConfiguration

    init(_ configuration: NodeConfiguration, in environment: NodeEnvironment) throws {
        self.configuration = configuration
        let driver = try environment.sockets.driver(configuration.listen)
        let (clock, limits) = (environment.clock, configuration.preset.connections)
        key = configuration.identity ?? IdentityKey.generate(from: environment.random)
        endpoint = try Endpoint(
            key: key, driver: driver, clock: clock, configuration: environment.apply(to: configuration.preset.quic))
        let transport = QUICTransport(endpoint)
        dialer = Dialer(
            transport: transport, clock: clock, limits: limits, names: environment.names,
            udp: UDPMemory(wallClock: environment.wallClock, network: environment.network))
        connections = Connections(
            localNodeID: key.nodeID, transport: transport, dialer: dialer, clock: clock, random: environment.random,
            limits: limits, peers: PeerStore(clock: clock, wallClock: environment.wallClock))
        let interfaces = InterfaceCache(clock) { environment.interfaces() }
        self.interfaces = interfaces
        connections.addressRule = { AddressRule(interfaces: interfaces.current) }
        connections.usesDirect = configuration.usesDirect
    }

    /// The client of relays; those of the user are known from then on.
    func relays() -> RelayClient {
        let relays = RelayClient(connections, dialer: dialer, endpoint: endpoint)
        guard configuration.usesRelays else { return relays }
        for relay in configuration.relays { connections.peers.give(relay, as: .relay) }
        let source = OwnRelays(connections.peers)
        source.ofRealm = { [weak relays] in relays?.realmRelays ?? [] }
        connections.sources.append(source)
        return relays
    }

    /// Keeps what is learned of others where it outlives this node, if it may.
    ///
    /// - Returns: the number of this node's last record, kept likewise.
    func remember(in storage: any Storage, wallClock: @escaping @Sendable () -> UInt64) -> RecordSequence {
        dialer.udp.storage = storage
        let isEphemeral = configuration.isEphemeral || configuration.identity == nil
        if configuration.storage != nil || configuration.stateDirectory != nil { connections.peers.storage = storage }
        connections.peers.writes = !isEphemeral
        let sequence = RecordSequence(
            of: key.nodeID, storage: isEphemeral ? MemoryStorage(clock: wallClock) : storage, wallClock: wallClock)
        for address in configuration.knownPeers { connections.peers.give(address) }
        return sequence
    }
}
