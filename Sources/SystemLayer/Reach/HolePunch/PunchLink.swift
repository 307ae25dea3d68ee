internal import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReactor
internal import DeP2PSessions

/// One connection's path: carries out what ``PathKeeper`` and ``ProbeMachine`` decide.
@NetworkActor
final class PunchLink {
    /// How long one round may take altogether, and its probes.
    static let roundDeadline = Duration.seconds(8)
    static let probeDeadline = Duration.milliseconds(2_500)
    /// The same, and four round trips, where ports are guessed if nothing comes of it: what a port that is drawn at random
    /// lets in comes with the first probes.
    static let guessedProbeDeadline = Duration.seconds(1)
    /// How long better paths may take to show after the first: a round trip, within these.
    static let shortestSettling = Duration.milliseconds(30)
    static let longestSettling = Duration.milliseconds(200)
    /// How long the way of an answer to the client may be taken to be.
    static let longestLead = Duration.seconds(1)
    /// A path that was taken at once is validated for no longer: three timeouts that follow from `initialRTT`.
    static let validation = Duration.milliseconds(250)
    static let longestVerdict = Duration.seconds(4)
    /// From one round that the peer asks for to the next.
    static let askInterval = Duration.seconds(10)
    /// Rounds that a peer may begin, a minute's worth.
    static let roundsPerMinute = 60

    /// Made when the first probe goes or comes: most connections never probe, and the exporter takes longer than a signature.
    private lazy var secret = makeSecret()
    /// Names the connection in its probes.
    private(set) lazy var name = ProbeKeys.link(secret)
    private(set) lazy var keys = ProbeKeys(secret, isClient: isClient)
    private let isClient: Bool
    /// Says whether the slow path works that was taken off a dead one.
    var verdict: TimerToken?
    /// The cycle ends with the session, at the latest in `HolePunch.stop`.
    let hub: HolePunch
    weak var session: Session?
    let connection: any SecureConnection
    var machine: ProbeMachine
    var keeper = PathKeeper()
    var move = PeerMove()
    var rounds: TokenBucket
    /// For all of what decides here, which knows nothing of each other.
    private let timer: WakeTimer
    var task: Task<Void, Never>?
    var settled: Waiter<Void>?
    var settling: TimerToken?
    var isServing = false
    private var askedAt: NetworkInstant?
    var isStopped = false
    private var watch: ProgressWatch
    /// The way to a relay that a migration under way goes by, when it is a new one.
    var newWay: CircuitWay?
    /// Whether the migration under way left a dead path at once.
    var isAbandoning = false
    /// Whether circuits through other relays are asked for.
    var isDetouring = false
    /// How often the present circuit was taken anew since the peer last acknowledged anything.
    var repeats = 0
    /// How the straight path came about that was left for a better one.
    var formerKind = ConnectionPath.Kind.direct
    /// Why and when the circuit ended that carried the connection. Where nothing comes in its place it is why the peer is silent.
    var circuitEnd: (end: CircuitEnd, at: NetworkInstant)? {
        didSet { connection.silenceCause = circuitEnd.map { "the relayed circuit ended: \($0.end)" } ?? "" }
    }
    /// The peer's addresses, and this node's, that need no NAT to be opened.
    var openAddresses: (own: Set<SocketAddress>, peer: Set<SocketAddress>) = ([], [])
    var streamCount = 0
    /// How the peer's NAT gives out ports, as it said in the last round.
    var peerMapping: MappedPorts?
    /// Whether the last round over a relay came to nothing.
    var isDoubting = false
    /// The stream of a round in vain, on which ports are guessed next.
    var unfinished: (stream: NegotiatedStream, reader: FrameReader)?
    var trial: BirthdayTrial?
    /// Sockets of a trial by which something came: one is where the path begins, or is about to.
    var keptSockets: [SocketAddress] = []

    init(_ session: Session, of hub: HolePunch) {
        self.hub = hub
        self.session = session
        timer = WakeTimer(hub.clock)
        connection = session.connection
        machine = ProbeMachine(random: hub.connections.random)
        isClient = session.isInitiator
        rounds = TokenBucket(rate: 1, burst: Self.roundsPerMinute, now: session.clock.now)
        watch = ProgressWatch(
            keepAlive: hub.endpoint.configuration.keepAlive, connection.counters, heardAt: connection.receivedAt,
            now: session.clock.now)
        timer.onWake = { [weak self] in self?.timerFired() }
        session.onPathChange { [weak self] path in self?.moved(to: path) }
    }

    var clock: any NetworkClock { hub.clock }

    private func makeSecret() -> HKDF {
        let secret = session.flatMap { session in
            traced("the keys of probes") {
                try session.exportKeyingMaterial(label: ProbeKeys.label, count: ProbeKeys.secretLength)
            }
        }
        // A connection that has ended has none, and its probes are nobody's.
        return HKDF(key: secret ?? hub.connections.random.bytes(ProbeKeys.secretLength), salt: [])
    }

    func stop() {
        isStopped = true
        keeper.stop()
        machine.end()
        task?.cancel()
        task = nil
        trial?.stop()
        timer.set(nil)
        settling.map(clock.cancel)
        verdict.map(clock.cancel)
    }

    private func moved(to path: ConnectionPath) {
        // What observers said before a straight path died may be why it died.
        if path.peerAddress == nil { hub.observer.forget() }
        watch.reset(connection.counters, now: clock.now)
        circuitEnd = nil
        closeSocketsLater()
        setTimer()
        hope()
    }

    // MARK: The client's side

    /// Starts to keep the path.
    func keep() {
        guard !isStopped else { return }
        connection.setMigrationHandler { [weak self] succeeded in self?.migrationEnded(succeeded) }
        carryOut(
            keeper.start(
                isRelayed: connection.path.peerAddress == nil, punches: hub.surroundings.usesStraightPaths,
                now: clock.now))
        hope()
    }

    private func migrationEnded(_ isValidated: Bool) {
        // What failed was given up already, for a circuit that is on its way.
        if isDetouring {
            guard isValidated else { return }
            stay()
        }
        // Moving off a dead path began the estimate of the round trip anew, and with it how long validation may take: a
        // slow path that something was acknowledged on works all the same.
        let path = connection.path
        if !isValidated, let patience = patienceWithSlowPath {
            verdict = clock.schedule(after: patience) { [weak self] in
                guard let self, isAbandoning, connection.path == path else { return }
                concludeMigration(false)
            }
            return
        }
        concludeMigration(isValidated)
    }

    /// How long a circuit is given, that is slower than the validation of a path that QUIC knows nothing of.
    private var patienceWithSlowPath: Duration? {
        guard isAbandoning, connection.path.peerAddress == nil, connection.statistics.latestRTT == .zero,
            let roundTrip = hub.relays.roundTrip(of: connection), roundTrip > Self.validation
        else { return nil }
        return min(roundTrip * 2, Self.longestVerdict)
    }

    private func concludeMigration(_ isValidated: Bool) {
        let path = connection.path
        let isThere = path.peerAddress == nil || (keeper.former != nil && path.remote == keeper.former)
        let succeeded = isValidated || (isAbandoning && isThere && connection.statistics.latestRTT > .zero)
        isAbandoning = false
        if let newWay { succeeded ? hub.relays.adopt(newWay, for: connection) : newWay.end() }
        newWay = nil
        carryOut(keeper.migrationEnded(succeeded, now: clock.now))
        if succeeded { giveBackLater() }
        hope()
    }

    /// The network has changed, here or at the peer's.
    func encourage() {
        guard connection.isInitiator else { return askForRound() }
        keeper.encourage(now: clock.now)
        setTimer()
        hope()
    }

    /// Only the client can begin a round, and migrate.
    private func askForRound() {
        guard let session, connection.path.peerAddress == nil, hub.surroundings.usesStraightPaths else { return }
        networkTask { [self] in
            streamCount += 1
            defer { streamCount -= 1 }
            await traced(awaiting: "asking for a round of hole punching") {
                let stream = try await session.openStream(HolePunch.id)
                defer {
                    stream.finish()
                    stream.stopReading(StreamCode.done.rawValue)
                }
                try await stream.write(.ask)
            }
        }
    }

    /// The peer asks for a round; it may do so now and then.
    func asked() {
        if let askedAt, clock.now.duration(since: askedAt) < Self.askInterval { return }
        askedAt = clock.now
        encourage()
    }

    func carryOut(_ actions: [PathKeeper.Action]) {
        for action in actions where !isStopped {
            switch action {
            case .punch: punch()
            case .seek: seek()
            case .migrate(let path): migrate(to: path)
            case .probe(let remote): send([machine.probe(remote, now: clock.now)])
            case .goBack(let relay):
                session?.lostPath()
                goBack(to: relay)
            case .goStraight(let remote): goStraight(to: remote)
            case .stay: stay()
            case .tellOfStall: tellOfStall()
            case .nudgeRelays: hub.relays.nudge()
            }
        }
        setTimer()
    }

    private func punch() {
        task = networkTask { [weak self] in
            guard let self else { return }
            do {
                var paths = try await clock.withDeadline(Self.roundDeadline) { try await self.runRound() }
                isDoubting = paths.isEmpty
                if paths.isEmpty { paths = await guessPorts() }
                finishRound()
                carryOut(keeper.punched(paths, now: clock.now))
            } catch let error as SessionError where error.code == .unsupported {
                keeper.stopPunching(now: clock.now)
                setTimer()
            } catch {
                carryOut(keeper.punched([], now: clock.now))
            }
        }
    }

    private func migrate(to path: ProbeMachine.Path) {
        let kind = kind(of: path)
        let socket = path.local.flatMap { hub.endpoint.socket(at: $0) }
        let hasBegun =
            socket.map { connection.migrate(from: $0, to: path.remote, kind: kind) }
            ?? connection.migrate(to: path.remote, kind: kind)
        if !hasBegun {
            carryOut(keeper.migrationEnded(false, now: clock.now))
        }
    }

    func tellOfStall() {
        guard let remote = connection.path.remote else { return }
        send([machine.stall(remote)])
    }

    func kind(of path: ProbeMachine.Path) -> ConnectionPath.Kind {
        openAddresses.peer.contains(path.remote) || openAddresses.own.contains(path.observed) ? .direct : .punched
    }

    // MARK: Probing

    func receive(_ datagram: Datagram) {
        guard !isStopped, let packet = ProbePacket(datagram.bytes, key: keys.peer) else { return }
        switch machine.receive(packet, from: datagram.remote, to: datagram.local, now: clock.now) {
        case .ignored: return
        case .answer(let transmissions):
            send(transmissions)
            trial?.heard(datagram.remote, at: hub.endpoint.socket(at: datagram.local))
            setTimer()
        case .answered(let path): answered(path)
        case .stalled:
            guard connection.isInitiator, datagram.remote == connection.path.remote else { return }
            carryOut(keeper.stalled(canReturn: canBeRelayed, now: clock.now))
        case .moved: moved(to: datagram.remote)
        }
    }

    private func answered(_ path: ProbeMachine.Path) {
        hub.budget.answered(path.remote.ip, now: clock.now)
        if connection.path.remote == path.remote { keeper.heard(now: clock.now) }
        move.answered(path.remote)
        trial?.found(path.remote, at: path.local.flatMap { hub.endpoint.socket(at: $0) })
        guard let settled, settling == nil, machine.isProbing else { return }
        let patience = min(max(path.roundTrip, Self.shortestSettling), Self.longestSettling)
        settling = clock.schedule(after: patience) { settled.resume(returning: ()) }
    }

    func send(_ transmissions: [ProbeMachine.Transmission]) {
        let current = connection.path.remote
        for item in transmissions {
            // Where the connection's own packets go needs no limit beyond the machine's.
            // Nor does what answers the peer where it has proven to be.
            guard
                item.destination == current || item.destination.ip == trial?.peer
                    || hub.budget.take(item.destination.ip, now: clock.now)
            else { continue }
            hub.name(self)
            let bytes = item.packet.encoded(link: name, key: keys.own)
            let source = item.source ?? (item.destination == current ? presentSocket : nil)
            hub.stun.probing()
            hub.endpoint.sendForeign(bytes, to: item.destination, from: source)
        }
    }

    /// The further socket at which the present path begins; `nil` where it is the node's own.
    private var presentSocket: SocketAddress? {
        keptSockets.isEmpty ? nil : connection.path.local.flatMap { hub.endpoint.socket(at: $0) }
    }

    // MARK: Time

    func setTimer() {
        timer.set(isStopped ? nil : [machine.wake, keeper.wake, move.wake, watch.nextLook].compactMap(\.self).min())
    }

    /// Whether anything waits for the connection.
    var isBusy: Bool { connection.statistics.openStreams > streamCount + (unfinished == nil ? 0 : 1) }

    /// Looks now and then whether the connection gets on.
    private func look(now: NetworkInstant) {
        guard watch.nextLook <= now else { return }
        let finding = watch.look(connection.counters, isPatient: keeper.isDirect, now: now)
        if finding == .acknowledged { repeats = 0 }
        let isStraight = connection.path.peerAddress != nil
        if watch.isUnanswered {
            if !isStraight { hub.relays.doubt(connection) }
            if connection.isInitiator { hub.relays.doubt(detours.lazy.map(\.relay)) }
        }
        // A relay, or a path that is narrow, is left for another path, which is looked at anew.
        if connection.isInitiator, finding == .stalled || finding == .silent && !isStraight {
            watch.reset(connection.counters, now: now)
        }
        let isLeft = finding == .stalled || finding == .silent
        carryOut(
            keeper.found(
                finding, now,
                in: PathKeeper.Situation(
                    isClient: connection.isInitiator, isStraight: isStraight, isBusy: isBusy,
                    canReturn: isLeft && keeper.isDirect && canBeRelayed)))
    }

    private func timerFired() {
        let now = clock.now
        look(now: now)
        send(machine.timerFired(now: now))
        carryOut(move.timerFired(now: now))
        carryOut(keeper.timerFired(isBusy: isBusy, now: now))
    }
}

extension SecureConnection {
    fileprivate var counters: ProgressWatch.Counters {
        let statistics = statistics
        return ProgressWatch.Counters(
            bytesReceived: statistics.bytesReceived, acknowledgements: statistics.acknowledgements,
            hasUnacknowledged: statistics.hasUnacknowledged, latestRTT: statistics.latestRTT)
    }
}
