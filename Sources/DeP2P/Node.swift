package import DeP2PApp
public import DeP2PIdentity
internal import DeP2PQUIC
package import DeP2PReach
public import DeP2PReactor
package import DeP2PRealm
package import DeP2PSessions
internal import DeP2PStorage

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
    package let realm: Realm
    package let connections: Connections
    package let messaging: Messaging
    package let streams: AppStreams
    package let pubsub: PubSub
    /// Milliseconds since 1970.
    let wallClock: @Sendable () -> UInt64
    package let clock: any NetworkClock
    let relays: RelayClient
    /// Serves others, while this node is a relay.
    package internal(set) var relayService: RelayService?
    let endpoint: Endpoint
    let storage: any Storage
    let notices: StorageNotices
    let hub = NodeEventHub()
    let own: OwnAddresses
    /// What the node can do, in the order of start: ``capabilities(_:_:)``.
    private(set) var parts: [any NodePart] = []
    var ownRelays: [Address] { connections.peers.book.ownRelays }
    let usesDirect: Bool
    /// From whom this node takes anything. Who is let in no more is told so, and the connection ends.
    public var access: AccessPolicy { didSet { accessPart?.changed() } }
    var dhtPart: DHTPart? { parts.lazy.compactMap { $0 as? DHTPart }.first }
    var realmRecordsPart: RealmRecordsPart? { parts.lazy.compactMap { $0 as? RealmRecordsPart }.first }
    var identifyPart: IdentifyPart? { parts.lazy.compactMap { $0 as? IdentifyPart }.first }
    var realmRelayPart: RealmRelayPart? { parts.lazy.compactMap { $0 as? RealmRelayPart }.first }
    var relayClientPart: RelayClientPart? { parts.lazy.compactMap { $0 as? RelayClientPart }.first }
    var transferPart: TransferPart? { parts.lazy.compactMap { $0 as? TransferPart }.first }
    private var accessPart: AccessPart? { parts.lazy.compactMap { $0 as? AccessPart }.first }
    /// Who accepts the application's streams.
    private(set) lazy var acceptors = StreamAcceptors(streams, clock: clock) { [weak self] nodeID in
        self?.access.admits(nodeID) ?? false
    }
    private var isStopped = false
    /// What was looked at before, for ``bandwidth``.
    var rates = RateWindow()
    /// The id of the last transfer that was sent.
    var lastTransfer: UInt64 = 0
    /// Transfers received at once, and memory for what they offer.
    let transferLimits: TransferQueueLimits
    let offerBytes: Int

    /// Starts a node: its sockets are bound when this returns.
    ///
    /// - Throws: ``DeP2PError`` `addressInUse` or `cannotListen`.
    public static func start(_ configuration: NodeConfiguration = NodeConfiguration()) async throws(DeP2PError) -> Node
    {
        do {
            let node = try Node(configuration, in: .system)
            guard let address = configuration.introspection else { return node }
            do {
                try node.introspect(on: address)
                return node
            } catch {
                await node.stop(grace: .zero)
                throw error
            }
        } catch {
            throw DeP2PError(error)
        }
    }

    /// Starts a node in any environment: a simulated world's, in tests.
    ///
    /// - Throws: what its sockets could not be opened for; `QUICError` when the identity yields no certificate.
    package init(_ configuration: NodeConfiguration, in environment: NodeEnvironment) throws {
        let listener = try environment.sockets.listener(configuration.tcpListen)
        let ground = try NodeGround(configuration, in: environment)
        let key = ground.key
        (nodeID, clock, wallClock) = (key.nodeID, environment.clock, environment.wallClock)
        (endpoint, connections) = (ground.endpoint, ground.connections)
        transferLimits = TransferQueueLimits(places: configuration.preset.transfers)
        offerBytes = configuration.preset.offerBytes
        realm = Realm(connections)
        messaging = Messaging(connections: connections, realm: realm, limits: configuration.preset.messaging)
        streams = AppStreams(connections: connections, realm: realm)
        pubsub = PubSub(connections: connections, realm: realm, key: key, wallClock: wallClock)
        access = configuration.access
        usesDirect = configuration.usesDirect
        relays = ground.relays()
        let alternate = AlternatePort(endpoint) { try environment.sockets.channel($0, forStrangers: true) }
        let stun = STUNService(endpoint, alternate: alternate)
        own = OwnAddresses(
            connections, endpoint: endpoint, stun: stun, listener: listener, relays: relays, usesDirect: usesDirect,
            servers: connections.peers.book.ownRelays.compactMap(\.socketAddress), interfaces: ground.interfaces,
            environment: environment)
        relayService = configuration.relay.map { [connections, endpoint] relay in
            RelayService(connections, endpoint: endpoint, limits: relay.limits, membersOnly: relay.membersOnly)
        }
        notices = StorageNotices()
        storage = Self.storage(configuration, notices, environment)
        let sequence = ground.remember(in: storage, wallClock: wallClock)
        parts = capabilities(
            configuration,
            Materials(
                key: key, listener: listener, alternate: alternate, stun: stun, sequence: sequence,
                udp: ground.dialer.udp, interfaces: ground.interfaces, environment: environment))
        for part in parts { part.start() }
    }

    // MARK: Addresses

    /// Where others may reach this node, best first, each with `/p2p/` and its NodeID; those through relays last.
    public var addresses: [Address] {
        own.direct.map { $0.with(nodeID: nodeID) } + own.relayed
    }

    /// The bound sockets; wildcards stay wildcards.
    package var localAddresses: [SocketAddress] { endpoint.localAddresses }

    /// Remembers where a node is: a multiaddr that ends in `/p2p/ID`.
    public func learn(_ address: Address) {
        connections.peers.give(address)
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

    /// The session with a node: one that is open, else a new one over the target's addresses, those that are known, and what
    /// is found meanwhile. Calls for one node share a dial; each adds its addresses.
    ///
    /// - Parameter timeout: for this call; `nil` takes the preset's.
    /// - Throws: ``DeP2PError`` with every attempt.
    package func session(to target: DialTarget, timeout: Duration? = nil) async throws(DeP2PError) -> Session {
        do { return try await connections.reach(target, timeout: timeout) } catch {
            let error = DeP2PError(error)
            if error.code != .cancelled { hub.emit(.connectFailed(target.nodeID, reason: error.message)) }
            throw error
        }
    }

    /// As ``session(to:timeout:)``, and both nodes have proven the realm key to each other.
    ///
    /// - Throws: ``DeP2PError``; `realmRefused` when the other node is not in this realm.
    package func connectMember(_ target: DialTarget, timeout: Duration? = nil) async throws(DeP2PError) -> Session {
        guard realmID != nil else { throw .inNoRealm }
        let session = try await session(to: target, timeout: timeout)
        do { try await realm.admit(session) } catch { throw DeP2PError(error) }
        return session
    }

    /// Asks a session's peer who it is.
    ///
    /// - Throws: ``DeP2PError``.
    package func identify(_ session: Session) async throws(DeP2PError) -> PeerInformation {
        do { return try await Identify.ask(session) } catch { throw DeP2PError(error) }
    }

    // MARK: The end

    /// Stops the node: lets streams end within `grace`, says goodbye on every connection, closes the sockets. In a task
    /// that is cancelled it waits for nothing.
    public func stop(grace: Duration = Node.defaultGrace) async {
        guard !isStopped else { return }
        isStopped = true
        for part in parts.reversed() { part.willStop(within: grace) }
        await drain(within: grace)
        for part in parts.reversed() { await part.stop() }
    }

    /// A receipt just written has to arrive before the connection closes over it.
    private func drain(within grace: Duration) async {
        let deadline = clock.now.advanced(by: grace)
        while clock.now < deadline {
            do {
                // What a stream's end has woken runs first, such as who counts it as kept open; and what was finished goes out.
                try await clock.sleep(for: .zero)
                guard connections.sessions.contains(where: isBusy) else { return }
                try await connections.streamEnds.wait(until: deadline)
            } catch {
                return
            }
        }
    }

    /// Whether anything but what parts keep open is on it.
    func isBusy(_ session: Session) -> Bool {
        session.openStreamCount > parts.reduce(0) { $0 + $1.streamsKeptOpen(on: session) }
    }

    // MARK: The network

    /// Everything that was found out about the network is found out anew.
    func networkChanged() {
        for part in parts { part.networkChanged() }
        hub.emit(.networkChanged)
    }
}
