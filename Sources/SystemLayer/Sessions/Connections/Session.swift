package import DeP2PIdentity
package import DeP2PQUIC
package import DeP2PReactor
internal import DeP2PWire

/// One authenticated connection to one node, as the protocols see it.
///
/// Membership: `outsider` → `pending` (admission under way) → `admitted`, or back to `outsider`. Streams for members
/// that the peer opens while admission is pending wait for its outcome: streams are not ordered among each other, so the
/// peer's first may overtake its proof.
@NetworkActor
package final class Session: Identifiable {
    package enum Membership: Hashable, Sendable {
        case outsider
        case pending
        case admitted
    }

    package nonisolated let id: UInt64
    package nonisolated let localNodeID: NodeID
    package nonisolated let remoteNodeID: NodeID
    /// Whether this side dialled.
    package nonisolated let isInitiator: Bool
    package nonisolated let openedAt: NetworkInstant
    /// What it took to connect; empty for inbound sessions.
    package internal(set) var attempts: [ConnectAttempt] = []
    package internal(set) var membership = Membership.outsider
    /// How the connection ended; `nil` while it lives.
    package private(set) var end: SessionEnd?
    /// Whether another session with the same node is used for new streams instead.
    package internal(set) var isRetired = false
    /// Whether this node only has something to ask, and nobody wants the other for its own sake.
    package internal(set) var isErrand = false
    /// Whether an application asked for the connection itself, and may hold it for as long as it likes.
    package var isAskedFor = false

    package let clock: any NetworkClock
    let random: RandomSource
    let limits: ConnectionLimits
    let registry: ProtocolRegistry
    package let connection: any SecureConnection
    /// Counts what the streams carry.
    var meter: BandwidthMeter?
    var membershipWaiters: [Waiter<Void>] = []
    /// Proofs of membership that are looked at, or wait for that: each has a stream.
    package internal(set) var admissionsUnderWay = 0
    /// Whether the peer has proven itself, or failed to, since it was greeted.
    var isProofJudged = false
    private var endWaiters: [Waiter<SessionEnd>] = []
    private var endHandlers: [@NetworkActor (Session, SessionEnd) -> Void] = []
    private var handlers: [UInt64: ServedStream] = [:]
    private var nextHandler: UInt64 = 0
    private var pathHandlers: [(id: UInt64, handler: @NetworkActor (ConnectionPath) -> Void)] = []
    private var nextPathHandler: UInt64 = 0
    private var pathLossHandlers: [@NetworkActor () -> Void] = []
    /// Whether more than a stranger's streams are served at once; and whether the connection's windows are raised.
    private var servesMore = false
    private var isPromoted = false

    /// What happens to a session that decides about its worth.
    enum Occurrence {
        /// The peer asked for something that is offered to it.
        case used
        case admitted
        /// The node does something for it that lasts, or (negative) is done with that.
        case committed(Int)
        case moved
        /// A stream has ended in both directions.
        case streamEnded
    }

    var onOccurrence: (@NetworkActor (Session, Occurrence) -> Void)?

    init(
        id: UInt64, localNodeID: NodeID, connection: any SecureConnection, registry: ProtocolRegistry,
        limits: ConnectionLimits, clock: any NetworkClock, random: RandomSource
    ) {
        self.id = id
        self.localNodeID = localNodeID
        self.connection = connection
        self.registry = registry
        self.limits = limits
        self.clock = clock
        self.random = random
        remoteNodeID = connection.remoteNodeID
        isInitiator = connection.isInitiator
        openedAt = clock.now
    }

    /// Starts serving what the peer opens; the connection keeps no strong reference back.
    func start() {
        connection.setCloseHandler { [weak self] end in self?.ended(end) }
        connection.setPathHandler { [weak self] path in
            guard let self else { return }
            onOccurrence?(self, .moved)
            for entry in pathHandlers { entry.handler(path) }
        }
        connection.setStreamEndHandler { [weak self] in
            guard let self else { return }
            onOccurrence?(self, .streamEnded)
        }
        connection.setStreamHandler { [weak self] stream in
            guard let self else { return stream.reset(StreamCode.cancelled.rawValue) }
            serve(stream)
        }
    }

    // MARK: What it is

    package var isAdmitted: Bool { membership == .admitted }
    package var isOpen: Bool { end == nil }
    package var path: ConnectionPath { connection.path }
    /// The peer's own address, which it has proven to receive at; `nil` where it is reached through a relay.
    package var validatedPeer: SocketAddress? { connection.validatedPeer }
    /// Whom the session counts for where a limit is one per address.
    package var subject: Subject { connection.subject }
    /// The smoothed round-trip time, once there is a sample.
    package var roundTripTime: Duration? { connection.roundTripTime }
    /// Streams of either side that have not ended in both directions.
    package var openStreamCount: Int { connection.openStreamCount }
    /// Inbound streams being served now.
    package var servedStreamCount: Int { handlers.count }

    package func exportKeyingMaterial(label: String, count: Int) throws -> [UInt8] {
        try connection.exportKeyingMaterial(label: label, count: count)
    }

    /// Calls `handler` whenever the connection has moved to another path.
    ///
    /// - Returns: what ``removePathHandler(_:)`` takes.
    @discardableResult
    package func onPathChange(_ handler: @escaping @NetworkActor (ConnectionPath) -> Void) -> UInt64 {
        nextPathHandler &+= 1
        pathHandlers.append((nextPathHandler, handler))
        return nextPathHandler
    }

    package func removePathHandler(_ id: UInt64) { pathHandlers.removeAll { $0.id == id } }

    /// Those who are told of another path: whoever watches for a while must not stay behind.
    package var pathHandlerCount: Int { pathHandlers.count }

    /// Calls `handler` whenever the path was found dead and another is looked for, again with each attempt.
    package func onPathLoss(_ handler: @escaping @NetworkActor () -> Void) { pathLossHandlers.append(handler) }

    /// The path is dead: told by whoever keeps it.
    package func lostPath() {
        for handler in pathLossHandlers { handler() }
    }

    // MARK: Streams

    /// Opens a stream that speaks `protocolID`; the proposal rides in front of the first data written.
    ///
    /// A peer that does not speak it shows at the first read, as ``SessionError`` `unsupported`.
    /// - Parameter patience: how long to wait for a peer that grants no stream, where that is less than the limit.
    /// - Throws: ``SessionError`` `notMember`, before anything is sent, for a members' protocol on a session that is not
    ///   admitted; `timeout`, `closed`.
    package func openStream(_ protocolID: String, within patience: Duration? = nil) async throws -> NegotiatedStream {
        let raw = try await openRaw(for: protocolID, within: patience)
        count(raw, as: protocolID)
        return NegotiatedStream(proposing: protocolID, over: raw, patience: (clock, limits.negotiationDeadline))
    }

    /// Opens a stream that speaks the first of `protocolIDs` that the peer knows; costs a round trip.
    package func openStream(anyOf protocolIDs: [String]) async throws -> NegotiatedStream {
        guard let first = protocolIDs.first else { throw SessionError(.unsupported) }
        let raw = try await openRaw(for: first)
        do {
            return try await clock.withDeadline(limits.negotiationDeadline) {
                var dialer = MultistreamDialer(protocolIDs)
                try await raw.write(Chunk(dialer.firstFlight))
                while let chunk = try await raw.read() {
                    switch dialer.receive(chunk.array()) {
                    case .needMore: continue
                    case .propose(let bytes): try await raw.write(Chunk(bytes))
                    case .selected(let name, let data):
                        self.count(raw, as: name)
                        return NegotiatedStream(name, over: raw, output: [], leftover: data)
                    case .failed(let error): throw SessionError(error)
                    }
                }
                throw SessionError(.violation, detail: "the stream ended during protocol negotiation")
            }
        } catch {
            raw.reset(StreamCode.cancelled.rawValue)
            if error is CancellationError { throw error }
            throw SessionError(error, on: self)
        }
    }

    /// As ``openStream(_:within:)`` where the peer grants a stream now; `nil` where that has to be waited for.
    package func openStreamAtOnce(_ protocolID: String) throws -> NegotiatedStream? {
        try checkOpening(protocolID)
        guard let raw = try connection.openByteStreamAtOnce() else { return nil }
        count(raw, as: protocolID)
        return NegotiatedStream(proposing: protocolID, over: raw, patience: (clock, limits.negotiationDeadline))
    }

    private func checkOpening(_ protocolID: String) throws(SessionError) {
        if let end { throw SessionError(.closed(end)) }
        guard membership == .admitted || ProtocolRegistry.gate(of: protocolID) == .open else {
            throw SessionError(.notMember, detail: "this connection is not admitted to the realm")
        }
    }

    private func openRaw(for protocolID: String, within patience: Duration? = nil) async throws -> any ByteStream {
        try checkOpening(protocolID)
        let patience = min(patience ?? limits.openDeadline, limits.openDeadline)
        do {
            return try await connection.openByteStream(within: patience)
        } catch is DeadlineExceeded {
            throw SessionError(.timeout, detail: "the peer granted no stream within \(patience)")
        } catch let error as CancellationError {
            throw error
        } catch {
            throw SessionError(error, on: self)
        }
    }

    /// What the stream carries is that protocol's.
    func count(_ stream: any ByteStream, as protocolID: String) {
        if let meter { stream.count(for: meter.tally(of: protocolID)) }
    }

    private func serve(_ stream: any ByteStream) {
        let most = servesMore ? max(limits.handlersPerSession, expectedStreams) : limits.strangerStreams
        guard end == nil, handlers.count < most else {
            stream.reset(StreamCode.busy.rawValue)
            return
        }
        nextHandler &+= 1
        let (key, served) = (nextHandler, ServedStream(stream))
        handlers[key] = served
        served.task = networkTask { [self] in
            await InboundStream(served, of: self).serve()
            handlers[key] = nil
        }
    }

    /// Gives up the streams of members' protocols that the peer has opened.
    package func dropMemberStreams(_ code: StreamCode) {
        for served in handlers.valuesInOrder where served.isForMembers {
            served.stream.reset(code.rawValue)
            served.task?.cancel()
        }
    }

    /// The peer and this node have agreed on a protocol. An admission that is asked for is no use of the node yet.
    func began(_ registration: Registration, on stream: ServedStream) {
        if registration.gate == .members { stream.isForMembers = true }
        if !registration.isAdmission { onOccurrence?(self, .used) }
    }

    // MARK: Worth

    /// Things that the node does for the session that last; see ``commit()``.
    package private(set) var commitments = 0

    /// The node does something for the session that lasts, such as a reservation or a circuit: it is kept when
    /// strangers that it does nothing for are closed. Once for each such thing, and ``release()`` once after it.
    package func commit() {
        commitments += 1
        // A stream stands for each circuit; windows stay a stranger's.
        if !servesMore, end == nil {
            servesMore = true
            connection.grantStreams(limits.handlersPerSession)
        }
        onOccurrence?(self, .committed(1))
    }

    package func release() {
        commitments -= 1
        onOccurrence?(self, .committed(-1))
    }

    /// So many streams that the peer may open at once, where its role asks for more than others have.
    private var expectedStreams = 0

    /// The peer may open so many streams at once: each stands for something that lasts. There is no way back.
    package func expectStreams(_ count: Int) {
        guard end == nil, count > expectedStreams else { return }
        (expectedStreams, servesMore) = (count, true)
        connection.grantStreams(count)
    }

    /// Gives the peer the streams and windows of those that the node works with. There is no way back.
    func promote() {
        guard !isPromoted, end == nil else { return }
        (isPromoted, servesMore) = (true, true)
        connection.promote()
    }

    // MARK: Addresses

    /// Called with what the peer says of itself.
    var onIdentified: (@NetworkActor (PeerInformation) -> Void)?

    /// The peer has said who and where it is.
    package func learned(_ information: PeerInformation) { onIdentified?(information) }

    // MARK: The end

    /// Closes the connection; the peer sees `code` and `reason` (at most a few hundred bytes of it).
    package func close(_ code: CloseCode, reason: String = "") {
        guard end == nil else { return }
        connection.close(code: code.rawValue, reason: reason)
        ended(SessionEnd(.closedLocally(code), reason: reason))
    }

    /// Waits for the end of the connection.
    package func waitClosed() async throws -> SessionEnd {
        if let end { return end }
        let waiter = Waiter<SessionEnd>()
        endWaiters.append(waiter)
        // A cancelled one must not stay behind.
        defer { endWaiters.removeAll { $0 === waiter } }
        return try await waiter.value()
    }

    /// Tasks that wait for the end or for membership.
    var waiterCount: Int { endWaiters.count + membershipWaiters.count }

    /// Calls `handler` once at the end; at once when it has come already.
    package func onEnd(_ handler: @escaping @NetworkActor (Session, SessionEnd) -> Void) {
        if let end { return handler(self, end) }
        endHandlers.append(handler)
    }

    /// Those who wait for the end: it must not depend on what the peer does.
    package var endHandlerCount: Int { endHandlers.count }

    private func ended(_ end: SessionEnd) {
        guard self.end == nil else { return }
        self.end = end
        membership = .outsider
        endAdmission(admitted: false)
        for served in handlers.valuesInOrder { served.task?.cancel() }
        let waiters = endWaiters
        let observers = endHandlers
        endWaiters = []
        endHandlers = []
        pathHandlers = []
        pathLossHandlers = []
        onOccurrence = nil
        for waiter in waiters { waiter.resume(returning: end) }
        for observer in observers { observer(self, end) }
    }
}
