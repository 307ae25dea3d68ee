import DeP2PIdentity
import DeP2PQUIC
import DeP2PReach
import DeP2PReactor
import DeP2PSessions
import DeP2PSimulation
import DeP2PTestSupport

extension SimulatedWorld {
    /// A world in which everything is near.
    static func near(seed: UInt64) -> SimulatedWorld {
        let world = SimulatedWorld(seed: seed)
        world.network.link.latency = .milliseconds(5)
        return world
    }

    /// An endpoint with its connections, which knows relays, and with `limits` is one.
    ///
    /// - Parameter address: another subnet for every node unless given.
    func relayNode(
        key: IdentityKey = .generate(), at address: SocketAddress? = nil, relay limits: RelayLimits? = nil,
        membersOnly: Bool = false
    ) throws -> RelayNode {
        let address = address ?? SocketAddress(machine().ip, port: 4001)
        return try RelayNode(self, key: key, at: address, limits: limits, membersOnly: membersOnly)
    }

    /// Nothing passes between these two hosts.
    func block(_ left: RelayNode, _ right: RelayNode) {
        var wall = SimulatedNetwork.Link()
        wall.loss = 1
        network.links[.init(from: left.socket.ip, to: right.socket.ip)] = wall
        network.links[.init(from: right.socket.ip, to: left.socket.ip)] = wall
    }
}

@NetworkActor
final class RelayNode {
    let key: IdentityKey
    let socket: SocketAddress
    let endpoint: Endpoint
    let connections: Connections
    let client: RelayClient
    let service: RelayService?
    var clientEvents: [RelayClient.Event] = []
    var serviceEvents: [RelayingEvent] = []

    /// These nodes ask each other nothing, as whole nodes do (identify): their connections would not be kept for it.
    private static var limits: ConnectionLimits {
        var limits = ConnectionLimits()
        limits.strangerTime = .seconds(24 * 60 * 60)
        return limits
    }

    init(
        _ world: SimulatedWorld, key: IdentityKey, at socket: SocketAddress, limits: RelayLimits?, membersOnly: Bool
    ) throws {
        let (network, random) = (world.network, world.randomSource())
        var configuration = EndpointConfiguration()
        configuration.random = random
        self.key = key
        self.socket = socket
        endpoint = try Endpoint(
            key: key, driver: network.makeDriver(address: socket), clock: network, configuration: configuration)
        let transport = QUICTransport(endpoint)
        let dialer = Dialer(transport: transport, clock: network, limits: Self.limits)
        connections = Connections(
            localNodeID: key.nodeID, transport: transport, dialer: dialer, clock: network, random: random,
            limits: Self.limits, peers: PeerStore(clock: network, wallClock: world.wallClock))
        client = RelayClient(connections, dialer: dialer, endpoint: endpoint)
        if let limits {
            service = RelayService(connections, endpoint: endpoint, limits: limits, membersOnly: membersOnly)
        } else {
            service = nil
        }
        client.serve(service: service)
        client.dialThroughRelays()
        Ping.serve(on: connections)
        endpoint.start()
        client.onEvent = { [weak self] in self?.clientEvents.append($0) }
        service?.onEvent = { [weak self] in self?.serviceEvents.append($0) }
    }

    var nodeID: NodeID { key.nodeID }
    var address: Address { .quic(socket.ip, port: socket.port, nodeID: nodeID) }

    func connect(_ address: Address) async throws -> Session {
        try await connections.connect(to: DialTarget(addresses: [address]))
    }

    /// As a process that is killed: nobody is told.
    func vanish() {
        client.stop()
        endpoint.abandon()
    }

    func stop() {
        service?.stop()
        client.stop()
        connections.stop()
        endpoint.close(code: CloseCode.goodbye.rawValue)
    }
}
