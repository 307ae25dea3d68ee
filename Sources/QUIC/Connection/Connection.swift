internal import CDeP2PQUICShim
package import DeP2PIdentity
package import DeP2PReactor
internal import DequeModule

/// One authenticated QUIC connection: streams in both directions over a path that may change.
///
/// States: handshaking → established → closed. The peer's identity is known from `established` on and comes from its
/// certificate alone. ngtcp2 owns the protocol; this type owns its streams, timer and place in the endpoint.
@NetworkActor
package final class Connection {
    package enum Role: Sendable { case client, server }

    enum State {
        case handshaking
        case established
        case closed(CloseReason)
    }

    package let role: Role
    /// Names the connection within this process.
    package nonisolated let id: UInt64
    /// What the peer's certificate proved; `nil` before the handshake got that far.
    var provenNodeID: NodeID?
    let expectedNodeID: NodeID?
    var certificateError: CertificateError?
    /// Kept alive by its connections; the cycle ends when each ends, at the latest in `Endpoint.close`.
    let endpoint: Endpoint
    /// GnuTLS points at them for as long as the connection is not freed.
    let credentials: TLSCredentials
    // What is unchecked is as a stream has it: asked for with each message, and changed in place without a call to anybody.
    @exclusivity(unchecked) private var handle: QUICHandle?
    var state = State.handshaking
    var isConfirmed = false
    var wasReset = false
    var versionMismatched = false
    var isAnnounced = false
    /// Of a server: whether it has said what `Connection+Greeting.swift` is about; of a client: what has come of it.
    package internal(set) var hasGreeted = false
    var greeting: [UInt8] = []
    var pathMayHaveChanged = false
    /// The path under validation; only one at a time.
    var pendingMigration: (local: SocketAddress, remote: SocketAddress)?

    /// What the peer is granted at present.
    package internal(set) var allowance: ConnectionAllowance
    var receiveWindow: ReceiveWindow
    /// Bytes of memory that streams' data holds until it is acknowledged, and what of it is of streams that were given
    /// up (`Connection+Memory.swift`).
    @exclusivity(unchecked) var sendMemory = 0
    /// Bytes of memory that streams' unread bytes are in.
    @exclusivity(unchecked) var receiveMemory = 0
    /// Bytes of memory that streams' readers have for what they have read of something that has not come whole.
    var keptMemory = 0
    /// What ``heldMemory`` was when that was last looked at.
    var notedMemory = 0
    /// Unread bytes that the peer was granted anew nevertheless: ``lend(_:)``.
    @exclusivity(unchecked) var lentBytes = 0
    @exclusivity(unchecked) var abandonedMemory = 0
    var isEndingOverMemory = false
    var memoryWaiters = Deque<QUICStream>()
    @exclusivity(unchecked) var streams: [Int64: QUICStream] = [:]
    var sendQueue = Deque<QUICStream>()
    /// Streams with something to send that their own window holds back.
    var blockedStreams = Deque<QUICStream>()
    var openedStreams: [QUICStream] = []
    var streamCreditWaiters = Deque<Waiter<Void>>()
    /// Streams of the peer's that count: they are open, or have unread bytes; and how many that did the peer is not told of yet.
    @exclusivity(unchecked) var countedStreams = 0
    @exclusivity(unchecked) var heldStreamCredit = 0
    var streamCreditTimer: TimerToken?
    var connectionIDs: Set<ConnectionID> = []
    var resetTokens: Set<ResetToken> = []
    /// IDs that the peer has retired, the latest last: what it sent to them by a slower path may still come.
    var retiredIDs: [ConnectionID] = []
    static let retiredLimit = 8
    let established = Waiter<Void>()
    private var closeWaiters: [Waiter<CloseReason>] = []

    @exclusivity(unchecked) var isDirty = false
    /// Streams that got something to send since the last flush.
    @exclusivity(unchecked) var newlyQueued = 0
    var timer: TimerToken?
    /// Ends a handshake that packets keep alive beyond its time; ngtcp2 counts a lost last flight as done.
    var handshakeTimer: TimerToken?
    var timerDeadline = NetworkInstant.distantFuture
    var blackHole = BlackHoleDetector()
    var wideDatagrams = WideDatagrams()
    /// Whether the current path joins two addresses of one machine.
    var staysOnMachine = false
    /// Whether the timer's expiry was handled since it was last set.
    var wasExpired = false
    /// When it is next looked at whether the peer has been silent for too long (`Connection+Silence.swift`).
    var silenceLook = NetworkInstant.distantFuture
    /// What has gone over it (`Connection+Traffic.swift`).
    package internal(set) var traffic = ConnectionTraffic()
    var lastCounted: CountedPath?
    /// The kind of path that streams' bytes count for.
    var settledPath = PathClass.direct
    /// What had gone through relays when the connection first left them for a straight path, as the wire has it.
    package internal(set) var relayedBeforeStraight: ByteTotals?
    /// Where streams are counted that never agreed on a protocol.
    package var namelessTally: TrafficTally?
    /// Why the peer may be silent, as its owner knows: told with the end where silence ends the connection.
    package var silenceCause = ""
    /// UDP payload, without the headers of relays.
    var bytesSent: UInt64 = 0
    var bytesReceived: UInt64 = 0
    /// When the peer was last heard: by a packet that is authentic and no repetition, but for the handshake's.
    package internal(set) var receivedAt: NetworkInstant
    /// When the peer last acknowledged something that was sent after all that it had acknowledged before; `nil` before the first,
    /// and once the connection is over.
    package var acknowledgedAt: NetworkInstant? {
        let time = quic.map { dep2p_quic_acknowledged($0) } ?? 0
        return time == 0 ? nil : NetworkInstant(nanoseconds: time)
    }
    /// How often the peer acknowledged what streams had sent.
    @exclusivity(unchecked) var acknowledgements: UInt64 = 0
    /// Where the relay of a relayed path is known; empty for direct ones.
    var kindOfPath: [SocketAddress: ConnectionPath.Kind] = [:]
    /// How straight paths came about, by the peer's address on them; and the one that was told last.
    private var kindOfRemote: [SocketAddress: ConnectionPath.Kind] = [:]
    private var kindToldLast: ConnectionPath.Kind?
    /// How the migration that was begun last has ended, until that is told.
    var migrationOutcome: Bool?
    /// Paths of a client that begin at a socket which it has another path from.
    var aliases = PathAliases()
    var reportedPath: ConnectionPath?
    var validatedPath = ValidatedPath()
    /// Whom the connection counted for when that was last asked.
    var lastSubject: Subject?

    /// Called for each stream that the peer opens.
    package var onStream: (@NetworkActor (QUICStream) -> Void)?
    /// Called after each stream that has ended in both directions, also from inside ngtcp2: no place to call it from.
    package var onStreamEnd: (@NetworkActor () -> Void)?
    /// Called once when the connection ends.
    package var onClose: [@NetworkActor (CloseReason) -> Void] = []
    /// Called when the connection moved to another path.
    package var onPathChange: (@NetworkActor (ConnectionPath) -> Void)?
    /// Called when a migration has ended: whether the connection is on the new path.
    package var onMigrationEnd: (@NetworkActor (Bool) -> Void)?

    init(endpoint: Endpoint, role: Role, id: UInt64, expecting: NodeID?) {
        self.endpoint = endpoint
        credentials = endpoint.credentials
        self.role = role
        self.id = id
        expectedNodeID = expecting
        receivedAt = endpoint.clock.now
        let all = endpoint.configuration.allowance
        allowance = role == .server ? endpoint.configuration.inboundAllowance ?? all : all
        receiveWindow = ReceiveWindow(size: allowance.window, limit: allowance.maxWindow)
    }

    /// The ngtcp2 connection; `nil` before it is made and after it is released.
    var quic: OpaquePointer? {
        get { handle?.pointer }
        set { handle = newValue.map { QUICHandle($0) } }
    }

    // MARK: What applications use

    /// The peer, as its certificate proves. Available once the connection is handed out.
    package var remoteNodeID: NodeID {
        guard let provenNodeID else { preconditionFailure("a connection is handed out after its peer is proven") }
        return provenNodeID
    }

    package var closeReason: CloseReason? {
        if case .closed(let reason) = state { reason } else { nil }
    }

    package var path: ConnectionPath {
        guard let quic else { return reportedPath ?? ConnectionPath(kind: .direct, local: nil, remote: nil) }
        var local = dep2p_address()
        var remote = dep2p_address()
        dep2p_quic_path(quic, &local, &remote)
        let localAddress = SocketAddress(local)
        let remoteAddress = SocketAddress(remote)
        let kind = kind(from: localAddress, to: remoteAddress)
        return ConnectionPath(
            kind: kind, local: localAddress, remote: remoteAddress, tcpPeer: endpoint.tcpLeg(from: localAddress)?.peer)
    }

    /// A way through a leg is what the leg is, whatever was said of the peer's address on it: how straight paths came
    /// about is the peer's word too.
    func kind(from local: SocketAddress, to remote: SocketAddress) -> ConnectionPath.Kind {
        if FakeAddress.contains(local.ip) { return endpoint.kindOfPath(from: local) ?? kindOfPath[local] ?? .direct }
        return kindOfRemote[remote] ?? kindOfPath[local] ?? kindToldLast ?? .direct
    }

    /// Says how the path to that address of the peer's came about, or is about to. Of straight paths only: it changes
    /// nothing about those through relays.
    ///
    /// The peer's NAT may move it to another address later: the kind told last is that one's too.
    package func setKind(_ kind: ConnectionPath.Kind, ofPathTo remote: SocketAddress) {
        if kindOfRemote.count >= Self.remoteLimit { kindOfRemote.removeAll() }
        kindOfRemote[remote] = kind
        kindToldLast = kind
        lastCounted = nil
        guard isAnnounced, currentAddresses?.remote == remote else { return }
        pathMayHaveChanged = true
        reportPath()
    }

    /// Addresses of the peer whose kind is remembered.
    private static let remoteLimit = 64

    /// Opens a stream; waits while the peer allows no more.
    ///
    /// - Parameter patience: how long; `nil` waits as long as the connection lasts.
    /// - Throws: ``StreamError`` `connectionClosed`; ``DeadlineExceeded``; `CancellationError`.
    package func openStream(within patience: Duration? = nil) async throws -> QUICStream {
        let deadline = patience.map { endpoint.clock.now.advanced(by: $0) }
        while true {
            if let stream = try openStreamAtOnce() { return stream }
            let waiter = Waiter<Void>()
            streamCreditWaiters.append(waiter)
            markDirty()
            let timer = deadline.map { deadline in
                endpoint.clock.schedule(at: deadline) {
                    waiter.resume(throwing: DeadlineExceeded(duration: patience ?? .zero))
                }
            }
            // A cancelled waiter must not stay behind; resumed ones have left the queue already.
            defer {
                timer.map(endpoint.clock.cancel)
                streamCreditWaiters.removeAll { $0 === waiter }
            }
            try await waiter.value()
        }
    }

    /// As ``openStream(within:)`` where the peer grants a stream now; `nil` where that has to be waited for.
    package func openStreamAtOnce() throws -> QUICStream? {
        guard let quic, case .established = state else {
            throw StreamError(.connectionClosed, detail: closeReason?.description ?? "not established")
        }
        let id = dep2p_quic_open_stream(quic)
        guard id >= 0 else { return nil }
        let stream = QUICStream(id: id, connection: self)
        streams[id] = stream
        return stream
    }

    /// Key material bound to this connection (RFC 8446 7.5): the same on both sides, and nowhere else.
    package func exportKeyingMaterial(label: String, count: Int) throws(QUICError) -> [UInt8] {
        guard case .established = state else { throw QUICError(.internalError, "the connection has ended") }
        guard let result = export(label, count: count) else {
            throw QUICError(.internalError, "the TLS exporter failed")
        }
        return result
    }

    /// Ends the connection; the peer sees `code` and `reason` (at most 200 bytes of it).
    package func close(code: UInt64, reason: String = "") {
        guard closeReason == nil else { return }
        sendClose(kind: DEP2P_CLOSE_APPLICATION, code: code, reason: reason)
        finish(CloseReason(.local, code: code, isApplication: true, reason: reason))
    }

    /// Waits until the connection has ended.
    package func waitClosed() async throws -> CloseReason {
        if let closeReason { return closeReason }
        let waiter = Waiter<CloseReason>()
        closeWaiters.append(waiter)
        defer { closeWaiters.removeAll { $0 === waiter } }
        return try await waiter.value()
    }

    package var statistics: ConnectionStatistics {
        var info = dep2p_quic_info()
        if let quic { dep2p_quic_info_get(quic, &info) }
        return ConnectionStatistics(
            smoothedRTT: .nanoseconds(Int64(clamping: info.smoothed_rtt)),
            minRTT: .nanoseconds(Int64(clamping: info.min_rtt)),
            latestRTT: .nanoseconds(Int64(clamping: info.latest_rtt)), congestionWindow: info.congestion_window,
            bytesInFlight: info.bytes_in_flight, bytesSent: bytesSent, bytesReceived: bytesReceived,
            openStreams: streams.count, acknowledgements: acknowledgements,
            hasUnacknowledged: streams.values.contains { $0.sending.sent > $0.sending.acknowledged },
            datagramSize: quic.map { dep2p_quic_path_datagram_size($0) } ?? 0)
    }

    /// Starts a key update (RFC 9001 6). ngtcp2 also does so by itself before a key's limit is reached.
    ///
    /// - Returns: whether it did: not before the handshake is confirmed, nor while the last update is not (6.1).
    @discardableResult
    package func updateKeys() -> Bool {
        guard let quic, dep2p_quic_update_key(quic, endpoint.clock.now.nanoseconds) == 0 else { return false }
        markDirty()
        return true
    }

    // MARK: Ending

    func startHandshakeTimer() {
        let limit = endpoint.configuration.handshakeTimeout
        handshakeTimer = endpoint.clock.schedule(after: limit) { [weak self] in
            guard let self, !isAnnounced else { return }
            finish(CloseReason(.handshakeTimeout))
        }
    }

    func endHandshakeTimer() {
        if let handshakeTimer { endpoint.clock.cancel(handshakeTimer) }
        handshakeTimer = nil
    }

    /// Releases everything and tells everyone. Never called from inside an ngtcp2 callback.
    func finish(_ reason: CloseReason) {
        if case .closed = state { return }
        reportedPath = path
        let wasEstablished = if case .established = state { true } else { false }
        state = .closed(reason)
        if let timer { endpoint.clock.cancel(timer) }
        timer = nil
        endHandshakeTimer()
        let ended = streams.valuesInOrder
        for stream in ended { settle(stream) }
        streams.removeAll()
        for stream in ended { stream.connectionClosed(reason) }
        sendQueue.removeAll()
        blockedStreams.removeAll()
        while let waiter = streamCreditWaiters.popFirst() { waiter.resume(returning: ()) }
        endpoint.forget(self, established: wasEstablished)
        endpoint.endedTraffic.add(traffic)
        // In this order: until ngtcp2 has freed the connection it points at what its streams have sent.
        quic = nil
        endpoint.ledger?.freed(self)
        for stream in ended { stream.transportReleased() }
        memoryWaiters.removeAll()
        established.resume(throwing: QUICError(ending: self, with: reason))
        for waiter in closeWaiters { waiter.resume(returning: reason) }
        closeWaiters.removeAll()
        let observers = onClose
        onClose.removeAll()
        onStream = nil
        onStreamEnd = nil
        onPathChange = nil
        onMigrationEnd = nil
        for observer in observers { observer(reason) }
    }
}

/// Owns the ngtcp2 connection: freed with its only reference, the connection's, when no callback of it can be running.
private final class QUICHandle {
    let pointer: OpaquePointer

    init(_ pointer: OpaquePointer) { self.pointer = pointer }

    deinit { dep2p_quic_free(pointer) }
}

extension QUICError {
    /// What a failed handshake means to whoever dialled.
    @NetworkActor
    init(ending connection: Connection, with reason: CloseReason) {
        if let error = connection.certificateError {
            if case .wrongPeer = error {
                self.init(.wrongPeer, error.description, closeReason: reason)
            } else {
                self.init(.badCertificate, error.description, closeReason: reason)
            }
            return
        }
        switch reason.origin {
        case .handshakeTimeout, .idleTimeout:
            self.init(.timeout, "no answer before the handshake's deadline", closeReason: reason)
        case .local: self.init(.cancelled, "the dial was cancelled", closeReason: reason)
        case .peer, .reset:
            self.init(.closedByPeer, "the peer refused the connection: \(reason)", closeReason: reason)
        case .protocolViolation where connection.versionMismatched:
            self.init(.versionMismatch, reason.reason, closeReason: reason)
        case .protocolViolation: self.init(.internalError, reason.description, closeReason: reason)
        }
    }
}
