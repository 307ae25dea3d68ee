internal import CDeP2PQUICShim
package import DeP2PIdentity
package import DeP2PReactor
import Glibc

/// Makes and accepts connections over one packet driver.
///
/// Routes each datagram to its connection by connection ID, answers what belongs to none (Retry, version negotiation,
/// stateless reset), and sends what connections have written once a turn. Calling order: set ``onConnection``, then
/// ``start()``; ``connect(to:from:kind:expecting:)`` at will; ``close(code:reason:)`` last.
@NetworkActor
package final class Endpoint {
    /// Of four TLS records; one GSO send takes a little less (``UDPDriver/bytesPerCall``).
    private static let sendBufferSize = 4 * WideDatagrams.whole
    static let secretLength = 32

    package let nodeID: NodeID
    package let configuration: EndpointConfiguration
    package let clock: any NetworkClock
    let driver: any PacketDriver
    /// Set by tests alone.
    var ledger: (any SendLedger)?
    /// Replaced only by tests of what a hostile peer could present.
    var credentials: TLSCredentials
    let retrySecret: [UInt8]
    let resetKey: HMACKey

    /// Called for each inbound connection once its peer is proven.
    package var onConnection: (@NetworkActor (Connection) -> Void)?
    /// What clients that ask for it hear in the first flight.
    package var greeting: Greeting?
    /// Who takes what shares the sockets with QUIC.
    package let datagrams = DatagramTable()

    private var routes: [ConnectionID: Connection] = [:]
    /// Whose peer may end it with this token (RFC 9000 10.3.1).
    private var resetTokens: [ResetToken: Connection] = [:]
    /// IDs that connections had, which stand: what comes there is late, and no reason to end them (RFC 9000 10.3).
    private var retired: Set<ConnectionID> = []
    private(set) var connections: [UInt64: Connection] = [:]
    /// The connections with each peer, since one was last announced; `nil` until somebody asks. All that are silent ask each
    /// second: looking at all others would be the square of them, just when a network that was gone is back.
    private var idsByPeer: [NodeID: [UInt64]]?
    var lingering: [ConnectionID: Lingering] = [:]
    var certificates = CertificateCache()
    /// Drivers of paths that are not UDP sockets of this machine, by their (fake) local address.
    var legs: [IPAddress: any PacketDriver] = [:]
    /// Sockets of this machine besides the driver's: paths of connections may begin there too.
    var sockets: [SocketKey: any PacketDriver] = [:]
    /// Whether there were any: then what leaves from an address may have lost its socket.
    var hasHadSockets = false
    /// Who takes the frames of a relay's circuit, by its id.
    var circuits: [UInt64: RelayLeg] = [:]
    /// Passes on others' frames, when this node is a relay.
    var forwarder: RelayForwarder?
    /// Where datagrams come in over TCP, when this node is a relay that listens there.
    var tcpListeners: [TCPListener] = []
    /// For dialling over TCP: made with the first such dial.
    var tcpContext: TLSContext?
    var narrowHosts = NarrowHosts()
    var dirty: [Connection] = []
    var failed: [Connection] = []
    var flushScheduled = false
    var pending: PendingBurst?
    private var nextID: UInt64 = 0
    var handshakes: HandshakeTable
    /// Answers without state a second, each kind by itself: who has one used up by what he makes up leaves the others.
    var resetBudget = TokenBucket(rate: 100, burst: 100)
    var refusalBudget = TokenBucket(rate: 100, burst: 100)
    var versionBudget = TokenBucket(rate: 100, burst: 100)
    package private(set) var isClosed = false
    /// As ``Connection/notedMemory`` of all connections has it (`Endpoint+Memory.swift`).
    var heldMemory = 0
    /// ``EndpointConfiguration/maxReceiveMemory``, but for tests.
    var maxReceiveMemory: Int
    /// What connections carried that have ended, those too whose handshake came to nothing.
    var endedTraffic = ConnectionTraffic()

    private let sendMemory = Memory(byteCount: sendBufferSize)
    var sendBuffer: UnsafeMutableRawBufferPointer { sendMemory.bytes }
    /// When the datagrams being handled were received.
    var packetTime: NetworkInstant
    /// Zeros at the end of the datagram being handled that did not travel: ``receiveFrame(_:remote:ecn:)``.
    var addedZeros = 0

    struct PendingBurst {
        let bytes: [UInt8]
        let segment: Int
        let local: SocketAddress
        let remote: SocketAddress
        let ecn: UInt8
    }

    package init(
        key: IdentityKey, driver: any PacketDriver, clock: any NetworkClock = SystemNetworkClock.shared,
        configuration: EndpointConfiguration = EndpointConfiguration()
    ) throws(QUICError) {
        nodeID = key.nodeID
        self.driver = driver
        self.clock = clock
        self.configuration = configuration
        maxReceiveMemory = configuration.maxReceiveMemory
        handshakes = HandshakeTable(
            limits: HandshakeTable.Limits(
                total: configuration.maxHandshakes, perSubject: configuration.maxHandshakesPerSubject,
                unproven: configuration.retryThreshold, unprovenPerSubject: configuration.retryThresholdPerSubject))
        credentials = try TLSCredentials(identity: key, random: configuration.random)
        retrySecret = configuration.random.bytes(Self.secretLength)
        resetKey = HMACKey(
            Self.resetSecret(key, scope: configuration.resetScope, addresses: driver.localAddresses))
        packetTime = clock.now
    }

    package func start() { driver.start(self) }

    /// What all connections have carried by now.
    package var traffic: ConnectionTraffic {
        var all = endedTraffic
        for connection in connections.values {
            connection.settleStreams()
            all.add(connection.traffic)
        }
        return all
    }

    package var localAddresses: [SocketAddress] { driver.localAddresses }

    // MARK: Dialling

    /// Dials `remote` and waits for the handshake.
    ///
    /// - Parameter expecting: the identity that must answer; `nil` accepts any and reports it.
    /// - Throws: ``QUICError``; `.wrongPeer` names both identities.
    package func connect(
        to remote: SocketAddress, from local: SocketAddress? = nil, kind: ConnectionPath.Kind = .direct,
        expecting: NodeID?
    ) async throws -> Connection {
        guard !isClosed else { throw QUICError(.endpointClosed, "this node has stopped") }
        guard hasRoom else {
            throw QUICError(.limit, "\(configuration.maxConnections) connections are open, the most allowed")
        }
        guard let from = local ?? localAddress(for: remote) else {
            throw QUICError(.unreachable, "no socket for \(remote.ip.family == .v4 ? "IPv4" : "IPv6")")
        }
        let connection = makeConnection(role: .client, expecting: expecting)
        connection.kindOfPath[from] = kind
        let dcid = ConnectionID.random(length: 18, from: random)
        let scid = ConnectionID.random(from: random)
        var settings = quicSettings(for: connection, remote: remote, local: from, now: clock.now)
        var callbacks = Connection.callbacks
        var localRaw = from.raw
        var remoteRaw = remote.raw
        var dcidRaw = dcid
        var scidRaw = scid
        connection.quic = dep2p_quic_client(
            &callbacks, Unmanaged.passUnretained(connection).toOpaque(), connection.credentials.pointer, &settings,
            &localRaw, &remoteRaw, &dcidRaw, &scidRaw)
        guard connection.quic != nil else {
            connections[connection.id] = nil
            connection.endHandshakeTimer()
            throw QUICError(.internalError, "the connection could not be made")
        }
        let id = ConnectionID(scid)
        connection.connectionIDs.insert(id)
        route(id, to: connection)
        if let leg = tcpLeg(from: from), !leg.attach(connection) {
            connection.lostPath("the TCP connection ended")
        }
        connection.markDirty()
        do {
            try await connection.established.value()
        } catch is CancellationError {
            connection.close(code: 0)
            throw QUICError(.cancelled, "the dial was cancelled")
        }
        return connection
    }

    /// Whether another connection may be held: those whose handshake a peer has begun have a limit of their own.
    var hasRoom: Bool { connections.count - handshakes.count < configuration.maxConnections }

    /// The number of the connection that is made next.
    var upcomingID: UInt64 { nextID + 1 }

    /// The socket address that reaches `remote`'s family; the kernel picks the source of a wildcard one.
    func localAddress(for remote: SocketAddress) -> SocketAddress? {
        driver.localAddresses.first { $0.ip.family == remote.ip.family }
    }

    /// The bound address of the socket that a datagram to `local` came in by; a leg's address stays as it is.
    private func boundAddress(for local: SocketAddress) -> SocketAddress {
        guard legs[local.ip] == nil else { return local }
        return driver.localAddresses.first { $0.ip.family == local.ip.family && $0.port == local.port } ?? local
    }

    /// The local address of the path by which `connection` knows a datagram from `remote` that came in at `local`.
    ///
    /// ngtcp2 compares a client's packets with the path that it dialled on, or moved to, whose local side is the bound
    /// address (a wildcard, mostly) or an alias of it, and not the one that the kernel chose.
    func pathLocal(_ local: SocketAddress, from remote: SocketAddress, of connection: Connection) -> SocketAddress {
        guard connection.role == .client else { return local }
        if let socket = socket(at: local) { return socket }
        return connection.aliases.local(to: remote) ?? boundAddress(for: local)
    }

    func makeConnection(role: Connection.Role, expecting: NodeID?) -> Connection {
        nextID += 1
        let connection = Connection(endpoint: self, role: role, id: nextID, expecting: expecting)
        connections[nextID] = connection
        connection.startHandshakeTimer()
        return connection
    }

    // MARK: Routes

    func route(_ id: ConnectionID, to connection: Connection) { routes[id] = connection }
    func unroute(_ id: ConnectionID) { routes[id] = nil }
    func connection(for id: ConnectionID) -> Connection? { routes[id] }

    func setRetired(_ id: ConnectionID, _ isRetired: Bool) {
        if isRetired { retired.insert(id) } else { retired.remove(id) }
    }
    func isRetired(_ id: ConnectionID) -> Bool { retired.contains(id) }
    func setReset(_ token: ResetToken, of connection: Connection?) { resetTokens[token] = connection }
    func connection(resetBy token: ResetToken) -> Connection? { resetTokens[token] }

    func forget(_ connection: Connection, established: Bool) {
        for id in connection.connectionIDs { routes[id] = nil }
        retired.subtract(connection.retiredIDs)
        for token in connection.resetTokens { resetTokens[token] = nil }
        connection.resetTokens.removeAll()
        connections[connection.id] = nil
        forgetMemory(of: connection)
        handshakes.end(connection.id)
    }

    func handshakeFinished(_ connection: Connection) {
        handshakes.end(connection.id)
        idsByPeer = nil
        guard connection.role == .server else { return }
        if let onConnection { onConnection(connection) } else { connection.close(code: 0, reason: "not accepting") }
    }

    /// The connections that stand with that peer.
    func connections(with nodeID: NodeID?) -> [Connection] {
        guard let nodeID else { return [] }
        let ids = idsByPeer ?? announcedByPeer
        idsByPeer = ids
        return ids[nodeID, default: []].compactMap { connections[$0] }
    }

    private var announcedByPeer: [NodeID: [UInt64]] {
        var ids: [NodeID: [UInt64]] = [:]
        for connection in connections.values where connection.isAnnounced {
            if let nodeID = connection.provenNodeID { ids[nodeID, default: []].append(connection.id) }
        }
        return ids
    }

    func wallClockSeconds() -> Int64 { Int64(clamping: configuration.wallClock() / 1_000) }

    var random: RandomSource { configuration.random }

    // MARK: Sending

    /// False while a burst waits for room in the socket's buffer.
    var canSend: Bool { pending == nil && !isClosed }

    func send(_ burst: PacketBurst) {
        if let leg = legs[burst.local.ip] {
            _ = leg.send(burst)
            return
        }
        // A leg that is gone: nothing with its addresses may reach a real network.
        guard !FakeAddress.contains(burst.local.ip) else { return }
        guard !PathAliases.isAlias(burst.local.ip) else { return send(burst, fromAliasTo: burst.remote) }
        guard pending == nil else { return }  // a close packet while blocked: as if lost on the way
        guard let driver = driver(at: burst.local) else { return }
        switch driver.send(burst) {
        case .sent: break
        case .failed(let error):
            if error == ENETUNREACH || error == EHOSTUNREACH || error == EAFNOSUPPORT || error == EADDRNOTAVAIL {
                driverReportsUnreachable(burst.remote, errno: error)
            }
        case .blocked:
            pending = PendingBurst(
                bytes: Array(burst.bytes), segment: burst.segment, local: burst.local, remote: burst.remote,
                ecn: burst.ecn)
        }
    }

    /// An alias of a socket's address is known to nobody but ngtcp2.
    private func send(_ burst: PacketBurst, fromAliasTo remote: SocketAddress) {
        guard let local = localAddress(for: remote) else { return }
        send(
            PacketBurst(
                bytes: burst.bytes, segment: burst.segment, local: local, remote: remote, ecn: burst.ecn))
    }

    /// Sends a datagram that is not QUIC from the endpoint's own socket.
    package func sendForeign(_ bytes: [UInt8], to remote: SocketAddress, from local: SocketAddress? = nil) {
        guard let from = local ?? localAddress(for: remote) else { return }
        bytes.withUnsafeBytes { bytes in
            send(PacketBurst(bytes: bytes, segment: bytes.count, local: from, remote: remote, ecn: 0))
        }
    }

    // MARK: Closing

    /// Closes every connection with `code` and `reason`, then the driver.
    package func close(code: UInt64 = 0, reason: String = "") {
        guard !isClosed else { return }
        // What travels through others goes first: its close packets need the connections to the relays.
        let relayed = connections.valuesInOrder.filter {
            $0.currentAddresses.map { legs[$0.local.ip] is RelayLeg } ?? false
        }
        for connection in relayed { connection.close(code: code, reason: reason) }
        for connection in connections.valuesInOrder { connection.close(code: code, reason: reason) }
        repeatCloses()
        isClosed = true
        onConnection = nil
        datagrams.removeAll()
        lingering.removeAll()
        for listener in tcpListeners { listener.close() }
        for case let leg as TCPLeg in Array(legs.values) { leg.close() }
        for socket in sockets.values { socket.close() }
        sockets.removeAll()
        driver.close()
    }

    /// Stops without a word to anyone, as a process that is killed does.
    package func abandon() {
        driver.close()
        close()
    }
}

extension Endpoint: PacketSink {
    package func forwards(_ byte: UInt8) -> Bool { DatagramKind(firstByte: byte) == .relayFrame }

    package func driverIsWritable() {
        guard let burst = pending else { return }
        pending = nil
        burst.bytes.withUnsafeBytes { bytes in
            send(
                PacketBurst(
                    bytes: bytes, segment: burst.segment, local: burst.local, remote: burst.remote, ecn: burst.ecn))
        }
        if pending == nil { for connection in connections.valuesInOrder { connection.markDirty() } }
    }

    package func driverReportsUnreachable(_ remote: SocketAddress, errno: Int32) {
        // Forgeable, so it only ends dials that nothing has answered yet.
        let reached = connections.valuesInOrder.filter { $0.isWaitingForFirstAnswer(from: remote) }
        guard !reached.isEmpty else { return }
        NetworkActor.beforeWaiting {
            for connection in reached { connection.failDial(remote, errno: errno) }
        }
    }
}
