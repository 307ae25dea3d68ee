package import DeP2PIdentity
package import DeP2PQUIC
package import DeP2PReactor

/// A node's sessions: dials them, accepts them, keeps their number within the limits.
@NetworkActor
package final class Connections {
    /// How long a retired session stays at least: the peer may be about to open a stream on it.
    static let retirement = Duration.seconds(2)
    /// Nodes that may be protected at once.
    package nonisolated static let protectedLimit = ConnectionManager.protectedLimit

    package nonisolated let localNodeID: NodeID
    package let registry = ProtocolRegistry()
    package let clock: any NetworkClock
    package let random: RandomSource
    package let limits: ConnectionLimits
    /// What is known of other nodes.
    package let peers: PeerStore
    /// What else is asked where a node is, besides what is known at once.
    package var sources: [any AddressSource] = []
    /// What tells of members that nobody has named.
    package var memberSources: [any MemberSource] = []
    /// Whether nodes that are looked for are dialled at their own addresses, or through relays only.
    package var usesDirect = true
    /// Which of these addresses may be dialled; without interfaces none but global ones.
    package var addressRule: @NetworkActor () -> AddressRule = { AddressRule(interfaces: []) }
    private let transport: any Transport
    private var table: SessionTable
    private var manager: ConnectionManager
    private let timer: WakeTimer
    private var open: [UInt64: Session] = [:]
    private var nextID: UInt64 = 0
    private let dials: Dials
    private var observers: [@NetworkActor (Session) -> Void] = []
    /// A stream of some session has ended in both directions, or a session has.
    package let streamEnds: Signal
    private var admissionObservers: [@NetworkActor (Session) -> Void] = []
    private var identityObservers: [@NetworkActor (Session) -> Void] = []
    private var realmObservers: [@NetworkActor (Bool) -> Void] = []
    private var wantObservers: [@NetworkActor (Session) -> Void] = []
    private var isStopped = false
    /// What all sessions carry.
    package let meter = BandwidthMeter()

    /// - Parameters:
    ///   - transport: what takes connections.
    ///   - dialer: what makes them.
    ///   - peers: what is known of other nodes; by default nothing at first.
    package init(
        localNodeID: NodeID, transport: any Transport, dialer: any Dialling, clock: any NetworkClock,
        random: RandomSource = .system, limits: ConnectionLimits, peers: PeerStore? = nil
    ) {
        self.localNodeID = localNodeID
        self.random = random
        self.transport = transport
        self.peers = peers ?? PeerStore(clock: clock)
        dials = Dials(dialer, clock: clock, limit: limits.dials)
        self.clock = clock
        self.limits = limits
        table = SessionTable(localNodeID: localNodeID, limits: limits)
        manager = ConnectionManager(limits: limits)
        timer = WakeTimer(clock)
        streamEnds = Signal(clock)
        timer.onWake = { [weak self] in
            guard let self else { return }
            close(manager.timerFired(now: clock.now, isBusy: isBusy))
        }
        transport.setConnectionHandler { [weak self] connection in
            guard let self else { return connection.close(code: CloseCode.goodbye.rawValue, reason: "stopping") }
            _ = traced("a connection is not taken", { try adopt(connection, attempts: []) })
        }
    }

    // MARK: Sessions

    package var sessions: [Session] { open.valuesInOrder }

    /// The session to use with `nodeID`, if one is open.
    package func session(with nodeID: NodeID) -> Session? { table.preferred(nodeID).flatMap { open[$0] } }

    /// The session of that number, while it is open.
    package func session(id: UInt64) -> Session? { open[id] }

    /// The relays that a node is reached through, as the user and its signed record say: their addresses, with their NodeIDs.
    package func relays(of nodeID: NodeID) -> [Address] {
        let rule = addressRule()
        return peers.relays(of: nodeID, by: rule, from: voucher(of: nodeID, rule))
    }

    private func voucher(of nodeID: NodeID, _ rule: AddressRule) -> AddressRule.Voucher {
        session(with: nodeID).map(rule.voucher) ?? .stranger
    }

    /// Calls `observer` with every session as it opens, in or out, before its first stream is served.
    package func onSession(_ observer: @escaping @NetworkActor (Session) -> Void) { observers.append(observer) }

    /// Says `greeting` in the first flight to whoever dials this node and asks for it.
    package func setGreeting(_ greeting: Greeting) { transport.setGreeting(greeting) }

    /// Calls `observer` with every session as it is admitted to the realm.
    package func onAdmission(_ observer: @escaping @NetworkActor (Session) -> Void) {
        admissionObservers.append(observer)
    }

    /// Calls `observer` with every session whose peer has said who and where it is, each time that it has.
    package func onIdentified(_ observer: @escaping @NetworkActor (Session) -> Void) {
        identityObservers.append(observer)
    }

    /// Calls `observer` when the node has entered a realm, and before it leaves one.
    package func onRealmChange(_ observer: @escaping @NetworkActor (Bool) -> Void) { realmObservers.append(observer) }

    /// Calls `observer` with every session that was an errand (``errand(to:timeout:)``) once somebody wants its node itself.
    package func onWanted(_ observer: @escaping @NetworkActor (Session) -> Void) { wantObservers.append(observer) }

    /// The session with the target: one that is open, else a new one, at the target's addresses and no others.
    ///
    /// Connects to one node share their dial: each adds its addresses, and waits as long as it wants to.
    /// - Parameter timeout: for this call.
    /// - Throws: ``ConnectError``.
    package func connect(to target: DialTarget, timeout: Duration? = nil) async throws -> Session {
        try await connect(to: target, timeout: timeout, isSearched: false)
    }

    /// As ``connect(to:timeout:)``, to ask a node that nobody wants for its own sake, as one of the DHT: a new session is
    /// closed when it has been idle for ``ConnectionManager/errandTime``, unless somebody wants it meanwhile.
    package func errand(to target: DialTarget, timeout: Duration? = nil) async throws -> Session {
        try await connect(to: target, timeout: timeout, isSearched: false, isErrand: true)
    }

    /// As ``connect(to:timeout:)``, at what is known of the node too, and at what sources find meanwhile.
    package func reach(_ target: DialTarget, timeout: Duration? = nil) async throws -> Session {
        try await connect(to: target, timeout: timeout, isSearched: true)
    }

    private func connect(
        to target: DialTarget, timeout: Duration?, isSearched: Bool, isErrand: Bool = false
    ) async throws -> Session {
        if target.nodeID == localNodeID {
            throw ConnectError(
                .dialledSelf, nodeID: localNodeID, reason: "\(localNodeID) is this node itself",
                remedy: .advice("give another node's NodeID, or run the other side under its own identity"))
        }
        if let session = target.nodeID.flatMap(session(with:)), !session.isRetired {
            if isErrand { manager.asked(session.id, now: clock.now) } else { want(session) }
            return session
        }
        let addresses = target.addresses.filter { !isSearched || usesDirect || $0.isRelayed }
        let dial = try dial(target.nodeID, addresses, isErrand: isErrand)
        if isSearched, let nodeID = target.nodeID { search(nodeID, for: dial) }
        dial.complete()
        guard isSearched, let nodeID = target.nodeID else {
            return try await dial.session(within: timeout ?? limits.connectDeadline)
        }
        do {
            let session = try await dial.session(within: timeout ?? limits.connectDeadline)
            peers.learn(from: session.attempts, of: nodeID)
            return session
        } catch let error as ConnectError {
            peers.learn(from: error.attempts, of: nodeID)
            throw error
        }
    }

    /// Dials under way.
    var dialCount: Int { dials.count }

    /// Another session with the target, whatever is open: for another way than the present one.
    ///
    /// - Parameter isShared: whether it may be that of a dial which has just begun, and others may have it too.
    /// - Throws: ``ConnectError``.
    package func connectAnew(
        to target: DialTarget, timeout: Duration?, isShared: Bool = false
    ) async throws -> Session {
        let dial = try dial(target.nodeID, target.addresses, sharing: isShared ? .young : .none)
        dial.complete()
        return try await dial.session(within: timeout ?? limits.connectDeadline)
    }

    private func dial(
        _ nodeID: NodeID?, _ addresses: [Address], sharing: Dials.Sharing = .any, isErrand: Bool = false
    ) throws -> SharedDial {
        do throws(LimitExceeded) {
            return try dials.dial(nodeID, addresses, sharing: sharing, isErrand: isErrand) {
                [self] connection, attempts, isErrand in
                do throws(LimitExceeded) {
                    return try adopt(connection, attempts: attempts, isErrand: isErrand)
                } catch {
                    throw limitError(error, nodeID)
                }
            }
        } catch {
            throw limitError(error, nodeID)
        }
    }

    /// Has the dial try what is known of the node, and what sources find; interfaces and members may be others by the time
    /// that something is found.
    private func search(_ nodeID: NodeID, for dial: SharedDial) {
        let rule = addressRule()
        let known = peers.addresses(of: nodeID, by: rule, from: voucher(of: nodeID, rule))
        dial.search([peers] + sources, for: nodeID, known: known.filter { usesDirect || $0.isRelayed }) {
            [weak self] found in
            guard let self else { return [] }
            let rule = addressRule()
            let voucher = max(found.voucher, voucher(of: nodeID, rule))
            return found.addresses.filter { known in
                (usesDirect || known.address.isRelayed) && rule.admits(known, from: voucher)
            }.map { $0.address.with(nodeID: nodeID) }
        }
    }

    private func limitError(_ limit: LimitExceeded, _ nodeID: NodeID?) -> ConnectError {
        ConnectError(
            .limit, nodeID: nodeID, reason: limit.description, remedy: .raisePreset)
    }

    // MARK: Opening and ending

    private func adopt(
        _ connection: any SecureConnection, attempts: [ConnectAttempt], isErrand: Bool = false
    ) throws(LimitExceeded) -> Session {
        nextID &+= 1
        let session = Session(
            id: nextID, localNodeID: localNodeID, connection: connection, registry: registry, limits: limits,
            clock: clock, random: random)
        session.attempts = attempts
        session.isErrand = isErrand && !manager.isProtected(session.remoteNodeID)
        session.meter = meter
        session.connection.namelessTally = meter.nameless
        session.onIdentified = { [weak self, weak session] information in
            guard let self, let session else { return }
            peers.learn(
                information, of: session.remoteNodeID, from: addressRule().voucher(of: session),
                subject: session.subject)
            for observer in identityObservers { observer(session) }
        }
        let (retired, closing): ([UInt64], [ConnectionManager.Closing])
        do throws(LimitExceeded) {
            (retired, closing) = try take(session)
        } catch {
            session.close(isStopped ? .goodbye : .limit, reason: isStopped ? "stopping" : error.description)
            meter.ended(session.remoteNodeID, session.connection.traffic)
            throw error
        }
        open[session.id] = session
        session.onEnd { [weak self] session, _ in self?.ended(session) }
        session.onOccurrence = { [weak self] session, occurrence in self?.noted(occurrence, session) }
        if manager.isProtected(session.remoteNodeID) { session.promote() }
        for observer in observers { observer(session) }
        session.start()
        peers.saw(session.remoteNodeID)
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
            isErrand: session.isErrand, now: clock.now)
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
        meter.ended(session.remoteNodeID, session.connection.traffic)
        peers.saw(session.remoteNodeID)
        streamEnds.send()
    }

    /// What the sessions have carried by now, those that have ended too.
    package var bandwidth: BandwidthCounts {
        meter.counts(of: sessions.map { ($0.remoteNodeID, $0.connection) }, total: transport.traffic)
    }

    // MARK: Worth

    /// Keeps the sessions with `nodeID` when others are closed, and takes new ones of it where strangers are refused.
    ///
    /// - Returns: false when as many nodes are protected as may be.
    @discardableResult
    package func protect(_ nodeID: NodeID, for reason: Protection) -> Bool {
        guard manager.protect(nodeID, for: reason) else { return false }
        for session in table.all(with: nodeID).compactMap({ open[$0] }) {
            session.promote()
            want(session)
        }
        return true
    }

    /// Somebody wants the session's node, whatever it was dialled for.
    private func want(_ session: Session) {
        guard session.isErrand, session.isOpen else { return }
        session.isErrand = false
        manager.wanted(session.id)
        for observer in wantObservers { observer(session) }
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
        set {
            if newValue != manager.isInRealm { for observer in realmObservers { observer(newValue) } }
            close(manager.setInRealm(newValue, now: clock.now))
        }
    }

    private func isBusy(_ id: UInt64) -> Bool { open[id].map { $0.openStreamCount > 0 } ?? false }

    private func noted(_ occurrence: Session.Occurrence, _ session: Session) {
        switch occurrence {
        case .used: manager.used(session.id, now: clock.now)
        case .admitted:
            want(session)
            close(manager.admitted(session.id, now: clock.now, isBusy: isBusy))
            // It may be the one that there is no room for.
            guard session.isOpen else { return }
            for observer in admissionObservers { observer(session) }
        case .committed(let change): manager.committed(session.id, change)
        case .moved: manager.moved(session.id, to: session.subject)
        case .streamEnded: streamEnds.send()
        }
        if case .committed = occurrence { watchTime() }
    }

    private func close(_ closing: [ConnectionManager.Closing]) {
        for item in closing { open[item.id]?.close(item.code, reason: item.reason) }
        watchTime()
    }

    /// Has the manager look again when it wants to.
    private func watchTime() {
        // Set earlier than it has to be it stays so: then there may be something to trim.
        guard !isStopped, let wake = manager.wake, timer.due.map({ wake < $0 }) ?? true else { return }
        timer.set(wake)
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
        timer.set(nil)
        dials.cancelAll()
        for session in sessions { session.connection.sendPending() }
        // What goes through a relay first: its goodbye needs the connection to the relay.
        for session in sessions where session.path.peerAddress == nil { session.close(code, reason: reason) }
        for session in sessions { session.close(code, reason: reason) }
    }
}
