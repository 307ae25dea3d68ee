package import DeP2PIdentity
package import DeP2PReactor

/// A node's sessions: dials them, accepts them, keeps their number within the limits.
@NetworkActor
package final class Connections {
    /// How long a retired session stays at least: the peer may be about to open a stream on it.
    static let retirement = Duration.seconds(2)

    package nonisolated let localNodeID: NodeID
    package let registry = ProtocolRegistry()
    package let clock: any NetworkClock
    package let limits: ConnectionLimits
    /// Where nodes have said that they are.
    private(set) var addressBook = AddressBook()
    /// Which of these addresses may be dialled; without interfaces none but global ones.
    package var addressRule: @NetworkActor () -> AddressRule = { AddressRule(interfaces: []) }
    private let transport: any Transport
    private let dialer: any Dialling
    private var table: SessionTable
    private var manager: ConnectionManager
    private var timer: (token: TimerToken, due: NetworkInstant)?
    private var open: [UInt64: Session] = [:]
    private var nextID: UInt64 = 0
    private let dials = SharedTasks<NodeID, Session>()
    private var dialCount = 0
    private var observers: [@NetworkActor (Session) -> Void] = []
    private var admissionObservers: [@NetworkActor (Session) -> Void] = []
    private var isStopped = false

    /// - Parameters:
    ///   - transport: what takes connections.
    ///   - dialer: what makes them.
    package init(
        localNodeID: NodeID, transport: any Transport, dialer: any Dialling, clock: any NetworkClock,
        limits: ConnectionLimits
    ) {
        self.localNodeID = localNodeID
        self.transport = transport
        self.dialer = dialer
        self.clock = clock
        self.limits = limits
        table = SessionTable(localNodeID: localNodeID, limits: limits)
        manager = ConnectionManager(limits: limits)
        transport.setConnectionHandler { [weak self] connection in
            guard let self else { return connection.close(code: CloseCode.goodbye.rawValue, reason: "stopping") }
            _ = traced("a connection is not taken", { try adopt(connection, attempts: []) })
        }
    }

    // MARK: Sessions

    package var sessions: [Session] { Array(open.values) }

    /// The session to use with `nodeID`, if one is open.
    package func session(with nodeID: NodeID) -> Session? { table.preferred(nodeID).flatMap { open[$0] } }

    /// The session of that number, while it is open.
    package func session(id: UInt64) -> Session? { open[id] }

    /// Where a node is, as its signed record says: what may be dialled of it, best first, with its NodeID.
    package func learnedAddresses(of nodeID: NodeID) -> [Address] {
        let rule = addressRule()
        return addressBook.addresses(of: nodeID, by: rule, from: voucher(of: nodeID, rule)).filter { address in
            // Of a node on this machine the loopback addresses change with each start: only its relays' are worth trying.
            guard !address.isRelayed, case .ip(let ip)? = address.host else { return true }
            return !ip.isLoopback
        }
    }

    /// All that a node's record names: for what else is in it than hosts to dial.
    package func listedAddresses(of nodeID: NodeID) -> [Address] { addressBook.addresses(of: nodeID) }

    /// The relays that a node is reached through, as its signed record says: their addresses, with their NodeIDs.
    package func relays(of nodeID: NodeID) -> [Address] {
        let rule = addressRule()
        return addressBook.relays(of: nodeID, by: rule, from: voucher(of: nodeID, rule))
    }

    private func voucher(of nodeID: NodeID, _ rule: AddressRule) -> AddressRule.Voucher {
        session(with: nodeID).map(rule.voucher) ?? .stranger
    }

    /// Calls `observer` with every session as it opens, in or out, before its first stream is served.
    package func onSession(_ observer: @escaping @NetworkActor (Session) -> Void) { observers.append(observer) }

    /// Calls `observer` with every session as it is admitted to the realm.
    package func onAdmission(_ observer: @escaping @NetworkActor (Session) -> Void) {
        admissionObservers.append(observer)
    }

    /// The session with the target: one that is open, else a new one. Connects to one node share their dial.
    ///
    /// - Throws: ``ConnectError``.
    package func connect(to target: DialTarget, timeout: Duration? = nil) async throws -> Session {
        if target.nodeID == localNodeID {
            throw ConnectError(
                .dialledSelf, nodeID: localNodeID, reason: "\(localNodeID) is this node itself",
                hint: "give another node's NodeID, or run the other side under its own identity")
        }
        guard let nodeID = target.nodeID else { return try await dial(target, timeout: timeout) }
        if let session = session(with: nodeID), !session.isRetired { return session }
        let shared = dials.task(for: nodeID) { [self] in try await dial(target, timeout: timeout) }
        return try await shared.value()
    }

    /// A session of its own with the target, whatever is open: for another way than the present one.
    ///
    /// - Throws: ``ConnectError``.
    package func connectAnew(to target: DialTarget, timeout: Duration?) async throws -> Session {
        try await dial(target, timeout: timeout)
    }

    private func dial(_ target: DialTarget, timeout: Duration?) async throws -> Session {
        guard dialCount < limits.dials else {
            throw limitError(
                LimitExceeded(name: "connects at once", value: dialCount, limit: limits.dials), target.nodeID)
        }
        dialCount += 1
        defer { dialCount -= 1 }
        let (connection, attempts) = try await dialer.dial(target, deadline: timeout ?? limits.connectDeadline)
        do throws(LimitExceeded) {
            return try adopt(connection, attempts: attempts)
        } catch {
            throw limitError(error, target.nodeID)
        }
    }

    private func limitError(_ limit: LimitExceeded, _ nodeID: NodeID?) -> ConnectError {
        ConnectError(
            .limit, nodeID: nodeID, reason: limit.description,
            hint: "close connections, or choose a larger preset with --preset, whose `connections` sets this limit")
    }

    // MARK: Opening and ending

    private func adopt(
        _ connection: any SecureConnection, attempts: [ConnectAttempt]
    ) throws(LimitExceeded) -> Session {
        nextID &+= 1
        let session = Session(
            id: nextID, localNodeID: localNodeID, connection: connection, registry: registry, limits: limits,
            clock: clock)
        session.attempts = attempts
        session.onRecord = { [weak self, weak session] record in
            guard let self, let session else { return }
            addressBook.learn(record, from: addressRule().voucher(of: session))
        }
        let (retired, closing): ([UInt64], [ConnectionManager.Closing])
        do throws(LimitExceeded) {
            (retired, closing) = try take(session)
        } catch {
            session.close(isStopped ? .goodbye : .limit, reason: isStopped ? "stopping" : error.description)
            throw error
        }
        open[session.id] = session
        session.onEnd { [weak self] session, _ in self?.ended(session) }
        session.onOccurrence = { [weak self] session, occurrence in self?.noted(occurrence, session) }
        if manager.isProtected(session.remoteNodeID) { session.promote() }
        for observer in observers { observer(session) }
        session.start()
        for id in retired { open[id].map(retire) }
        close(closing)
        return session
    }

    /// Books the session, or throws the limit that forbids it.
    private func take(
        _ session: Session
    ) throws(LimitExceeded) -> (retired: [UInt64], closing: [ConnectionManager.Closing]) {
        guard !isStopped else { throw LimitExceeded(name: "connections", value: 0, limit: 0) }
        if let limit = table.refusal(of: session.remoteNodeID) { throw limit }
        let candidate = ConnectionManager.Entry(
            id: session.id, nodeID: session.remoteNodeID, subject: session.subject, isInitiator: session.isInitiator,
            now: clock.now)
        switch manager.open(candidate, now: clock.now, isBusy: isBusy) {
        case .refused(let limit): throw limit
        case .opened(let closing):
            let entry = SessionTable.Entry(
                id: session.id, nodeID: session.remoteNodeID, isInitiator: session.isInitiator,
                openedAt: session.openedAt)
            guard case .opened(let retired) = table.open(entry) else { return ([], closing) }
            return (retired, closing)
        }
    }

    private func ended(_ session: Session) {
        table.close(session.id)
        manager.close(session.id)
        open[session.id] = nil
    }

    // MARK: Worth

    /// Keeps the sessions with `nodeID` when others are closed, and takes new ones of it where strangers are refused.
    ///
    /// - Returns: false when as many nodes are protected as may be.
    @discardableResult
    package func protect(_ nodeID: NodeID, for reason: Protection) -> Bool {
        guard manager.protect(nodeID, for: reason) else { return false }
        for id in table.all(with: nodeID) { open[id]?.promote() }
        return true
    }

    /// Whether something protects `nodeID`: this node's user, or application, chose it.
    package func isProtected(_ nodeID: NodeID) -> Bool { manager.isProtected(nodeID) }

    package func unprotect(_ nodeID: NodeID, for reason: Protection) {
        manager.unprotect(nodeID, for: reason)
        watchTime()
    }

    /// Whether the node is in a realm: there, who is not admitted is a stranger beside its members.
    package var isInRealm: Bool {
        get { manager.isInRealm }
        set { close(manager.setInRealm(newValue, now: clock.now)) }
    }

    private func isBusy(_ id: UInt64) -> Bool { open[id].map { $0.openStreamCount > 0 } ?? false }

    private func noted(_ occurrence: Session.Occurrence, _ session: Session) {
        switch occurrence {
        case .used: manager.used(session.id, now: clock.now)
        case .admitted:
            close(manager.admitted(session.id, now: clock.now, isBusy: isBusy))
            // It may be the one that there is no room for.
            guard session.isOpen else { return }
            for observer in admissionObservers { observer(session) }
        case .committed(let change): manager.committed(session.id, change)
        case .moved: manager.moved(session.id, to: session.subject)
        }
        if case .committed = occurrence { watchTime() }
    }

    private func close(_ closing: [ConnectionManager.Closing]) {
        for item in closing { open[item.id]?.close(.limit, reason: item.reason) }
        watchTime()
    }

    /// Has the manager look again when it wants to.
    private func watchTime() {
        guard !isStopped, let wake = manager.wake else { return }
        if let timer {
            guard wake < timer.due else { return }
            clock.cancel(timer.token)
        }
        let token = clock.schedule(at: wake) { [weak self] in
            guard let self else { return }
            timer = nil
            close(manager.timerFired(now: clock.now, isBusy: isBusy))
        }
        timer = (token, wake)
    }

    /// Closes the session once it has been idle for ``retirement``.
    package func retire(_ session: Session) {
        session.isRetired = true
        _ = clock.schedule(after: Self.retirement) { [weak self, weak session] in
            guard let session, session.isOpen else { return }
            if session.openStreamCount == 0 {
                session.close(.duplicate, reason: "another connection between the two nodes is used")
            } else {
                self?.retire(session)
            }
        }
    }

    /// Closes every session with `code` and takes no new ones.
    package func stop(_ code: CloseCode = .goodbye, reason: String = "the node is stopping") {
        isStopped = true
        timer.map { clock.cancel($0.token) }
        timer = nil
        dials.cancelAll()
        // What goes through a relay first: its goodbye needs the connection to the relay.
        for session in sessions where session.path.peerAddress == nil { session.close(code, reason: reason) }
        for session in sessions { session.close(code, reason: reason) }
    }
}
