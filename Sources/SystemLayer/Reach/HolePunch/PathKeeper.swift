internal import DeP2PReactor

/// Which path a connection is to use, however it began: pure. Every session has one.
///
/// Only QUIC's client can migrate, so that its side decides. States there: `direct` (where it began, judged by what QUIC
/// acknowledges: the peer may know nothing of probes), `improving` (QUIC validates a straight path that is better than the
/// present one), `relayed` (the next round of punching at an instant) → `punching` →
/// `moving` (QUIC validates a path that answered) → `straight` (watched by probes) → `returning` (to a relay) → `relayed`;
/// a `direct` path that dies is left for a relay like a `straight` one, where one is known. The server's side stays in
/// `stopped`, and only watches. Calling order: ``start(isRelayed:punches:now:)``; for each action its outcome:
/// ``punched(_:now:)``, ``sought(_:from:now:)``, ``migrationEnded(_:now:)``; ``hope(now:)`` when there may be a better path;
/// ``heard(now:)`` for each sign of life of the current path;
/// ``look(_:_:now:)`` and ``timerFired(isBusy:now:)`` when the instant of ``wake`` comes.
struct PathKeeper {
    /// Waits after rounds that found nothing, or a path that did not last: this, doubled with each up to the longest.
    static let firstBackoff = Duration.seconds(1)
    static let longestBackoff = Duration.seconds(60)
    /// How long a path has to last to count as good.
    static let lasting = Duration.seconds(60)
    /// From one migration to the next, unless the path is dead.
    static let dwell = Duration.seconds(1)
    /// Silence of a straight path after which it is probed, when streams are open and when none is.
    static let busyInterval = Duration.seconds(1)
    static let idleInterval = Duration.seconds(3)
    /// From one unanswered probe to the next.
    static let retryInterval = Duration.milliseconds(200)
    /// Unanswered probes, and the time since the first of them, after which a path is dead.
    static let unansweredLimit = 4
    static let patience = Duration.milliseconds(700)
    /// From one attempt to return to a relay to the next, and to those after so many: one that was restarted is back soon.
    static let returnInterval = Duration.milliseconds(250)
    static let lateReturnInterval = Duration.seconds(1)
    static let soonReturns = 20
    /// Attempts to get from a direct path to a relay, after which it is watched anew: there may be none with the peer.
    static let directReturns = 4

    /// Which relay to go to.
    enum Relay: Equatable {
        /// The one that carried the connection before; another where there is none.
        case known
        /// Another than that; the same where there is none.
        case other
    }

    enum Action: Equatable {
        /// Run a round; tell its outcome.
        case punch
        /// Look for a straight path that is better than the present one; tell the outcome.
        case seek
        /// Migrate to this path; tell the outcome.
        case migrate(ProbeMachine.Path)
        /// Probe the straight path.
        case probe(SocketAddress)
        /// Migrate to a relay; tell the outcome.
        case goBack(Relay)
        /// Migrate to the straight path that a better one was preferred to; tell the outcome.
        case goStraight(SocketAddress)
        /// The way back that was begun is not needed any more.
        case stay
        /// Tell the client that what this side sends does not arrive.
        case tellOfStall
        /// Have the relays learn where this side is: the client may come by one of them.
        case nudgeRelays
    }

    private struct Watch: Equatable {
        let path: ProbeMachine.Path
        let since: NetworkInstant
        var heardAt: NetworkInstant
        var probedAt: NetworkInstant
        var lookAt: NetworkInstant
        var firstUnanswered: NetworkInstant?
        var unanswered = 0
    }

    /// What is being left.
    private enum Left: Equatable {
        case relayOrStraight
        /// A direct path from which nothing comes, or on which nothing is acknowledged.
        case silentDirect
        case stalledDirect
        /// A path that was preferred to the one to this address.
        case improved(former: SocketAddress)
    }

    /// A path that works.
    private enum Standing: Equatable {
        case direct(since: NetworkInstant)
        case straight(Watch)
    }

    private enum State: Equatable {
        case stopped
        case direct(since: NetworkInstant)
        case relayed(next: NetworkInstant)
        case punching
        case moving(ProbeMachine.Path, rest: [ProbeMachine.Path])
        case straight(Watch)
        /// From a path to the address `left`.
        case improving(ProbeMachine.Path, from: Standing, left: SocketAddress)
        /// `retryAt` is set when an attempt has failed.
        case returning(from: Left, retryAt: NetworkInstant?)
    }

    private var state = State.stopped
    /// Whether straight paths are looked for; without them a lost relay is left for another all the same.
    private var punches = true
    private var failures = 0
    private var lastMigration: NetworkInstant?
    /// Attempts to get to a relay since the last migration; and whether it was a relay that failed, not a straight path.
    private var returns = 0
    private(set) var lostRelay = false
    private var seeks = SeekSchedule()
    /// The direct path that was left for a better one.
    private(set) var former: SocketAddress?

    /// When something is next due.
    var wake: NetworkInstant? {
        switch state {
        case .stopped, .punching, .moving, .improving: nil
        case .direct: seeks.due
        case .relayed(let next): punches ? next : nil
        case .straight(let watch): seeks.due.map { min($0, watch.lookAt) } ?? watch.lookAt
        case .returning(_, let retryAt): retryAt
        }
    }

    var isActive: Bool { state != .stopped }
    var isReturning: Bool { if case .returning = state { true } else { false } }
    var isStraight: Bool { if case .straight = state { true } else { false } }
    /// Whether the connection is where it began: nothing but what QUIC says tells of such a path.
    var isDirect: Bool { if case .direct = state { true } else { false } }

    // MARK: Events

    /// - Parameters:
    ///   - isRelayed: whether the connection begins on a path through a relay.
    ///   - punches: whether to look for straight paths.
    mutating func start(isRelayed: Bool = true, punches: Bool = true, now: NetworkInstant) -> [Action] {
        self.punches = punches
        guard isRelayed else {
            state = .direct(since: now)
            return []
        }
        state = punches ? .punching : .relayed(next: now)
        return punches ? [.punch] : []
    }

    /// The peer knows nothing of straight paths: a relay is all that there is.
    mutating func stopPunching(now: NetworkInstant) {
        punches = false
        seeks.forget()
        if state == .punching { state = .relayed(next: now) }
    }

    mutating func stop() { state = .stopped }

    /// A round ended with these paths.
    mutating func punched(_ paths: [ProbeMachine.Path], now: NetworkInstant) -> [Action] {
        guard state == .punching else { return [] }
        let sorted = paths.sorted { $0.roundTrip < $1.roundTrip }
        guard let best = sorted.first else {
            fail(now: now)
            return []
        }
        state = .moving(best, rest: Array(sorted.dropFirst()))
        return [.migrate(best)]
    }

    /// A migration that was begun has ended, or could not begin.
    mutating func migrationEnded(_ succeeded: Bool, now: NetworkInstant) -> [Action] {
        defer { if succeeded { (returns, lostRelay) = (0, false) } }
        switch state {
        case .moving(let path, _) where succeeded:
            arrive(on: path, now: now)
        case .improving(let path, _, let left) where succeeded:
            former = former ?? left
            arrive(on: path, now: now)
        case .improving(_, from: .direct(let since), _): state = .direct(since: since)
        case .improving(_, from: .straight(let watch), _): state = .straight(watch)
        case .moving(_, let rest):
            guard let next = rest.first else {
                fail(now: now)
                return []
            }
            state = .moving(next, rest: Array(rest.dropFirst()))
            return [.migrate(next)]
        case .returning(.improved, _) where succeeded && isGoingStraight:
            (lastMigration, former) = (now, nil)
            seeks.forget()
            state = .direct(since: now)
        case .returning where succeeded:
            (lastMigration, former) = (now, nil)
            seeks.forget()
            state = .relayed(next: now.advanced(by: backoff))
        case .returning(.silentDirect, _) where returns >= Self.directReturns,
            .returning(.stalledDirect, _) where returns >= Self.directReturns:
            returns = 0
            state = .direct(since: now)
        case .returning(let left, _):
            let pause = returns < Self.soonReturns ? Self.returnInterval : Self.lateReturnInterval
            state = .returning(from: left, retryAt: now.advanced(by: pause))
        case .stopped, .direct, .relayed, .punching, .straight: break
        }
        return []
    }

    private mutating func arrive(on path: ProbeMachine.Path, now: NetworkInstant) {
        lastMigration = now
        let lookAt = now.advanced(by: Self.busyInterval)
        state = .straight(Watch(path: path, since: now, heardAt: now, probedAt: now, lookAt: lookAt))
    }

    // MARK: Better paths

    /// There is an address that a better path than the present one may lead to.
    mutating func hope(now: NetworkInstant) {
        guard punches else { return }
        switch state {
        case .direct, .straight: seeks.hope(now: now)
        case .stopped, .relayed, .punching, .moving, .improving, .returning: break
        }
    }

    /// What a look has found.
    ///
    /// - Parameters:
    ///   - better: a path that is better than the present one; `nil` when there is none.
    ///   - present: the peer's address on the present one.
    mutating func sought(
        _ better: ProbeMachine.Path?, from present: SocketAddress?, now: NetworkInstant
    ) -> [Action] {
        guard let better, let present, better.remote != present else { return [] }
        switch state {
        case .direct(let since): state = .improving(better, from: .direct(since: since), left: present)
        case .straight(let watch) where watch.path.remote == present:
            state = .improving(better, from: .straight(watch), left: present)
        default: return []
        }
        return [.migrate(better)]
    }

    /// The straight path showed that it works in both directions.
    mutating func heard(now: NetworkInstant) {
        guard case .straight(var watch) = state else { return }
        watch.heardAt = now
        watch.unanswered = 0
        watch.firstUnanswered = nil
        state = .straight(watch)
    }

    /// The peer asks for a round, or the network has changed: what failed before says little now.
    mutating func encourage(now: NetworkInstant) {
        failures = 0
        seeks.restart(now: now)
        if case .straight(var watch) = state {
            // Whether the path is still one shows sooner when it is asked at once.
            (watch.heardAt, watch.probedAt, watch.lookAt) = (watch.since, watch.since, now)
            state = .straight(watch)
        }
        guard case .relayed(let next) = state else { return }
        let earliest = max(now, lastMigration?.advanced(by: Self.dwell) ?? now)
        state = .relayed(next: min(next, earliest.advanced(by: Self.firstBackoff / 4)))
    }

    /// The peer was followed to another address; what is known of the path to the one before says nothing any more.
    mutating func followed(now: NetworkInstant) {
        switch state {
        case .direct, .straight:
            (lastMigration, former) = (now, nil)
            seeks.forget()
            state = .direct(since: now)
        case .stopped, .relayed, .punching, .moving, .improving, .returning: break
        }
    }

    /// The relay that carries the connection ended its circuit, or is not heard any more.
    mutating func relayLost(now: NetworkInstant) -> [Action] {
        lostRelay = true
        switch state {
        case .relayed, .punching, .moving: return goBack(from: .relayOrStraight)
        case .stopped, .direct, .straight, .improving, .returning: return []
        }
    }

    /// The straight path passes probes but not what QUIC sends, as one does that has become narrow: another path starts
    /// with small packets again.
    ///
    /// - Parameter canReturn: whether a relay is known that may lead to the peer.
    mutating func stalled(canReturn: Bool, now: NetworkInstant) -> [Action] {
        switch state {
        case .straight(let watch) where now.duration(since: watch.since) >= Self.dwell:
            leave(since: watch.since, now: now)
        case .direct(let since) where canReturn && now.duration(since: since) >= Self.dwell:
            leave(since: since, from: .stalledDirect, now: now)
        default: []
        }
    }

    /// Nothing comes by the direct path.
    mutating func silent(canReturn: Bool, now: NetworkInstant) -> [Action] {
        guard canReturn, case .direct(let since) = state else { return [] }
        return leave(since: since, from: .silentDirect, now: now)
    }

    private mutating func leave(
        since: NetworkInstant, from left: Left = .relayOrStraight, now: NetworkInstant
    ) -> [Action] {
        failures = now.duration(since: since) >= Self.lasting ? 0 : failures + 1
        if left == .relayOrStraight, let former { return goBack(from: .improved(former: former)) }
        return goBack(from: left)
    }

    /// After a straight path the relay that was used before comes first, after a lost relay another one; then in turn.
    private mutating func goBack(from left: Left) -> [Action] {
        state = .returning(from: left, retryAt: nil)
        returns += 1
        // What was there before the better path comes first, and then relays in between.
        guard case .improved(let former) = left else {
            return [.goBack(lostRelay == (returns % 2 == 1) ? .other : .known)]
        }
        if isGoingStraight { return [.goStraight(former)] }
        return [.goBack(returns % 4 == 2 ? .known : .other)]
    }

    /// Whether the attempt under way to leave a better path leads to the one that was there before.
    private var isGoingStraight: Bool { returns % 2 == 1 }

    /// The relay, or the direct path, that had fallen silent speaks again.
    ///
    /// - Parameter isRelayed: whether that is a relay.
    mutating func pathFound(isRelayed: Bool, now: NetworkInstant) -> [Action] {
        switch state {
        case .returning where isRelayed: state = .relayed(next: now.advanced(by: Self.firstBackoff))
        case .returning(from: .silentDirect, _):
            returns = 0
            state = .direct(since: now)
            return [.stay]
        default: break
        }
        return []
    }

    /// - Parameter isBusy: whether anything waits for the connection.
    mutating func timerFired(isBusy: Bool, now: NetworkInstant) -> [Action] {
        switch state {
        case .relayed(let next) where punches && next <= now:
            state = .punching
            return [.punch]
        case .direct where isSeekDue(now), .straight where isSeekDue(now):
            seeks.begin(now: now)
            return [.seek]
        case .straight(let watch): return look(watch, isBusy: isBusy, now: now)
        case .returning(let left, let retryAt?) where retryAt <= now: return goBack(from: left)
        case .stopped, .direct, .relayed, .punching, .moving, .improving, .returning: return []
        }
    }

    private func isSeekDue(_ now: NetworkInstant) -> Bool { seeks.due.map { $0 <= now } ?? false }

    // MARK: The straight path

    private static func due(_ watch: Watch, isBusy: Bool) -> NetworkInstant {
        guard watch.unanswered == 0 else { return watch.probedAt.advanced(by: retryInterval) }
        return max(watch.heardAt, watch.probedAt).advanced(by: isBusy ? busyInterval : idleInterval)
    }

    private mutating func look(_ watch: Watch, isBusy: Bool, now: NetworkInstant) -> [Action] {
        if let first = watch.firstUnanswered, watch.unanswered >= Self.unansweredLimit,
            now.duration(since: first) >= max(Self.patience, watch.path.roundTrip * 3)
        {
            return leave(since: watch.since, now: now)
        }
        var watch = watch
        guard Self.due(watch, isBusy: isBusy) <= now else {
            // Whether it is busy may be another thing by then.
            watch.lookAt = min(Self.due(watch, isBusy: isBusy), now.advanced(by: Self.busyInterval))
            state = .straight(watch)
            return []
        }
        watch.probedAt = now
        watch.lookAt = now.advanced(by: Self.retryInterval)
        watch.unanswered += 1
        watch.firstUnanswered = watch.firstUnanswered ?? now
        state = .straight(watch)
        return [.probe(watch.path.remote)]
    }

    // MARK: Failures

    private var backoff: Duration {
        let doubled = Self.firstBackoff * (1 << min(max(failures - 1, 0), 16))
        return min(doubled, Self.longestBackoff)
    }

    private mutating func fail(now: NetworkInstant) {
        failures += 1
        state = .relayed(next: now.advanced(by: backoff))
    }
}
