public import AppLayer
public import DeP2PReactor
internal import DeP2PStorage
public import Identity
public import QUIC
public import RealmLayer
public import SystemLayer

/// A node: it has an identity, listens, joins a realm, and reaches other nodes by their NodeID.
///
/// ```swift
/// let node = try await Node.start()
/// try await node.join(realmKey)
/// try await node.send("build 512 is green", to: DialTarget(addresses: [address]))
/// ```
///
/// States: started → stopped. Every method may be called from any task; they run on the network thread.
@NetworkActor
public final class Node {
    /// How long a stopping node waits for streams to end.
    public nonisolated static let defaultGrace = Duration.seconds(2)

    public nonisolated let nodeID: NodeID
    public let realm: Realm
    public let connections: Connections
    public let messaging: Messaging
    public let streams: AppStreams
    public let clock: any NetworkClock
    private let identity: IdentityKey
    let relays: RelayClient
    /// Serves others, when this node is a relay.
    public let relayService: RelayService?
    let endpoint: Endpoint
    /// Gets relayed connections onto straight paths, where these are used, and from relay to relay; `nil` when relays are
    /// left out.
    private(set) var holePunch: HolePunch?
    let identify: Identify
    let sequence: RecordSequence
    let storage: any Storage
    let notices: StorageNotices
    let stun: STUNService
    /// The node's second port.
    private let alternate: AlternatePort
    private let tcpListener: TCPListener?
    var monitor: NetworkMonitor?
    var watching: TimerToken?
    var networkObservers: [@NetworkActor () -> Void] = []
    private let dialBack: DialBackService
    let own: OwnAddresses
    let interfaces: InterfaceCache
    var reachabilityObservers: [@NetworkActor (Reachability.State) -> Void] = []
    var portMappingObservers: [@NetworkActor (IPAddress.Family, PortMapping?) -> Void] = []
    let ownRelays: [Address]
    let usesDirect: Bool
    private(set) var knownPeers: [NodeID: [Address]] = [:]
    private var isStopped = false
    /// Transfers received at once, and memory for what they offer.
    let transferLimits: TransferQueueLimits
    let offerBytes: Int

    /// Starts a node: its sockets are bound when this returns.
    ///
    /// - Throws: ``DeP2PError`` `addressInUse` or `cannotListen`.
    public static func start(_ configuration: NodeConfiguration = NodeConfiguration()) async throws(DeP2PError) -> Node
    {
        do {
            var configuration = configuration
            configuration.preset.quic.resetScope = HostMark.machine()
            let listener = try Listening.openTCP(configuration.tcpListen)
            let driver = try Listening.open(configuration.listen)
            let node = try Node(
                configuration, driver: driver, listener: listener, clock: SystemNetworkClock.shared,
                open: { try DatagramSocket(bind: $0, budget: StrangerBudget()) })
            node.startMapping(configuration)
            node.watchNetworkSoon()
            return node
        } catch {
            throw DeP2PError(error)
        }
    }

    /// Starts a node over any packet driver and clock: a simulated network's, in tests.
    ///
    /// - Parameters:
    ///   - listener: takes connections over TCP too.
    ///   - open: opens further sockets; without it the node has that one driver only.
    /// - Throws: `QUICError` when the identity yields no certificate.
    public init(
        _ configuration: NodeConfiguration, driver: any PacketDriver, listener: TCPListener? = nil,
        clock: any NetworkClock, open: OpenChannel? = nil
    ) throws {
        let key = configuration.identity ?? IdentityKey.generate()
        identity = key
        transferLimits = TransferQueueLimits(places: configuration.preset.transfers)
        offerBytes = configuration.preset.offerBytes
        nodeID = key.nodeID
        self.clock = clock
        let endpoint = try Endpoint(key: key, driver: driver, clock: clock, configuration: configuration.preset.quic)
        self.endpoint = endpoint
        connections = Connections(
            localNodeID: key.nodeID, transport: QUICTransport(endpoint), clock: clock,
            limits: configuration.preset.connections)
        let interfaces = InterfaceCache { Listening.interfaces() }
        self.interfaces = interfaces
        connections.addressRule = { AddressRule(interfaces: interfaces.interfaces(now: clock.now)) }
        realm = Realm(connections)
        messaging = Messaging(connections: connections, realm: realm, limits: configuration.preset.messaging)
        streams = AppStreams(connections: connections, realm: realm)
        ownRelays = configuration.usesRelays ? configuration.relays : []
        usesDirect = configuration.usesDirect
        let relays = RelayClient(connections, endpoint: endpoint)
        self.relays = relays
        alternate = AlternatePort(endpoint, open: open)
        let stun = STUNService(endpoint, alternate: alternate)
        self.stun = stun
        let own = OwnAddresses(
            connections, endpoint: endpoint, stun: stun, listener: listener, relays: relays,
            usesDirect: configuration.usesDirect, servers: ownRelays.compactMap(\.socketAddress), isSystem: open != nil)
        self.own = own
        relayService = configuration.relay.map { [connections] relay in
            RelayService(connections, endpoint: endpoint, limits: relay.limits, membersOnly: relay.membersOnly)
        }
        let notices = StorageNotices()
        self.notices = notices
        storage = Self.storage(configuration, notices)
        connections.udp.storage = storage
        let isEphemeral = configuration.isEphemeral || configuration.identity == nil
        let sequence = RecordSequence(of: key.nodeID, storage: isEphemeral ? MemoryStorage() : storage)
        self.sequence = sequence
        identify = Identify(
            key: key, agent: configuration.agent, connections: connections,
            addresses: { [weak own] in own.map { $0.direct + $0.relayed.compactMap(\.withoutNodeID) } ?? [] },
            sequence: { await sequence.next() })
        identify.serve()
        identify.learn()
        relays.onAddressChange = { [weak identify, weak relays] in
            identify?.push { session in relays?.isRelay(session) != true }
        }
        Ping.serve(on: connections)
        tcpListener = listener
        dialBack = DialBackService(alternate, clock: clock)
        dialBack.serve(on: connections)
        for address in configuration.knownPeers {
            learn(address)
            if let nodeID = address.nodeID { connections.protect(nodeID, for: .bootstrap) }
        }
        for nodeID in ownRelays.compactMap(\.nodeID) { connections.protect(nodeID, for: .relay) }
        endpoint.start()
        if let listener { endpoint.accept(from: listener) }
        startRelaying(configuration)
        // Who only goes out to others has no use for a way in.
        if usesDirect, configuration.reserves || configuration.relay != nil { startReachability() }
        if configuration.usesRelays { holePunch = startPunching() }
    }

    // MARK: Addresses

    /// Where others may reach this node, best first, each with `/p2p/` and its NodeID; those through relays last.
    public var addresses: [Address] {
        own.direct.map { $0.with(nodeID: nodeID) } + own.relayed
    }

    /// The bound sockets; wildcards stay wildcards.
    public var localAddresses: [SocketAddress] { endpoint.localAddresses }

    /// Remembers where a node is: a multiaddr that ends in `/p2p/ID`.
    public func learn(_ address: Address) {
        guard let nodeID = address.nodeID else { return }
        var known = knownPeers[nodeID] ?? []
        guard !known.contains(address), known.count < connections.limits.candidates else { return }
        known.append(address)
        knownPeers[nodeID] = known
    }

    // MARK: Realm

    /// The realm that the node is in.
    public var realmID: RealmID? { realm.id }

    /// Enters a realm.
    ///
    /// - Throws: ``DeP2PError`` `alreadyInRealm`.
    public func join(_ key: RealmKey) throws(DeP2PError) {
        do throws(RealmError) { try realm.join(key) } catch { throw DeP2PError(error) }
        // A relay of the realm may have refused this node before.
        relays.retry()
    }

    /// Leaves the realm: says goodbye to its members, closes their streams, forgets them.
    ///
    /// - Throws: ``DeP2PError`` `notMember`.
    public func leaveRealm() throws(DeP2PError) {
        do throws(RealmError) { try realm.leave() } catch { throw DeP2PError(error) }
    }

    // MARK: Connecting

    /// The session with a node: one that is open, else a new one over the target's and the known addresses.
    ///
    /// - Parameter timeout: for the whole connect; `nil` takes the preset's.
    /// - Throws: ``DeP2PError`` with every attempt.
    public func connect(to target: DialTarget, timeout: Duration? = nil) async throws(DeP2PError) -> Session {
        let known = target.nodeID.map { (knownPeers[$0] ?? []) + connections.learnedAddresses(of: $0) } ?? []
        let target = ways(to: target, known: known)
        do { return try await connections.connect(to: target, timeout: timeout) } catch { throw DeP2PError(error) }
    }

    /// As ``connect(to:timeout:)``, and both nodes have proven the realm key to each other.
    ///
    /// - Throws: ``DeP2PError``; `realmRefused` when the other node is not in this realm.
    public func connectMember(_ target: DialTarget, timeout: Duration? = nil) async throws(DeP2PError) -> Session {
        guard realmID != nil else {
            throw DeP2PError(.notMember, "this node is in no realm", hint: "join a realm with its key")
        }
        let session = try await connect(to: target, timeout: timeout)
        do { try await realm.admit(session) } catch { throw DeP2PError(error) }
        return session
    }

    /// Opens a stream to ping a session's peer on; dep2p and libp2p nodes answer.
    ///
    /// - Throws: ``DeP2PError`` `unsupported` when it knows no ping.
    public func ping(_ session: Session) async throws(DeP2PError) -> Pinger {
        do { return try await Ping.open(session) } catch { throw DeP2PError(error) }
    }

    /// Asks a session's peer who it is.
    ///
    /// - Throws: ``DeP2PError``.
    public func identify(_ session: Session) async throws(DeP2PError) -> PeerInformation {
        do { return try await Identify.ask(session) } catch { throw DeP2PError(error) }
    }

    // MARK: The end

    /// Stops the node: lets streams end within `grace`, says goodbye on every connection, closes the sockets. In a task
    /// that is cancelled it waits for nothing.
    public func stop(grace: Duration = Node.defaultGrace) async {
        guard !isStopped else { return }
        isStopped = true
        watching.map(clock.cancel)
        monitor?.stop()
        holePunch?.stop()
        relayService?.stop()
        own.reachability.stop()
        // Gateways close the ports while streams end.
        let unmapping = own.mappings.map { mappings in SharedTask { await mappings.stop() } }
        await drain(within: grace)
        relays.stop()
        connections.stop()
        alternate.close()
        endpoint.close(code: CloseCode.goodbye.rawValue, reason: "the node is stopping")
        await flushStorage()
        if let unmapping { _ = try? await unmapping.value() }
    }

    /// A receipt just written has to arrive before the connection closes over it.
    private func drain(within grace: Duration) async {
        let deadline = clock.now.advanced(by: grace)
        while clock.now < deadline, connections.sessions.contains(where: isBusy) {
            do { try await clock.sleep(for: .milliseconds(1)) } catch { return }
        }
    }

    /// A stream that stands for a circuit ends with the circuit's connection, and is nothing to wait for; a round of
    /// hole punching is none either.
    private func isBusy(_ session: Session) -> Bool {
        session.openStreamCount > relays.circuitCount(on: session) + (holePunch?.streamCount(on: session) ?? 0)
    }
}
