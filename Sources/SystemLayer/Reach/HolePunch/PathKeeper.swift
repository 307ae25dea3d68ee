internal import DeP2PReactor

/// Which path a relayed connection is to use, from its QUIC client's side: pure.
///
/// States: `relayed` (the next round of punching at an instant) → `punching` → `moving` (QUIC validates a path that
/// answered) → `straight` (watched by probes) → `returning` (to a relay) → `relayed`. Calling order: ``start(punches:now:)``;
/// for each action its outcome: ``punched(_:now:)``, ``migrationEnded(_:now:)``; ``heard(now:)`` for each sign of life
/// of the current path; ``timerFired(isBusy:now:)`` when the instant of ``wake`` comes.
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
    /// From one attempt to return to a relay to the next.
    static let returnInterval = Duration.milliseconds(500)

    enum Action: Equatable {
        /// Run a round; tell its outcome.
        case punch
        /// Migrate to this path; tell the outcome.
        case migrate(ProbeMachine.Path)
        /// Probe the straight path.
        case probe(SocketAddress)
        /// Migrate to a relay; tell the outcome.
        case goBack
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

    private enum State: Equatable {
        case stopped
        case relayed(next: NetworkInstant)
        case punching
        case moving(ProbeMachine.Path, rest: [ProbeMachine.Path])
        case straight(Watch)
        /// `retryAt` is set when an attempt has failed.
        case returning(retryAt: NetworkInstant?)
    }

    private var state = State.stopped
    /// Whether straight paths are looked for; without them a lost relay is left for another all the same.
    private var punches = true
    private var failures = 0
    private var lastMigration: NetworkInstant?

    /// When something is next due.
    var wake: NetworkInstant? {
        switch state {
        case .stopped, .punching, .moving: nil
        case .relayed(let next): punches ? next : nil
        case .straight(let watch): watch.lookAt
        case .returning(let retryAt): retryAt
        }
    }

    var isActive: Bool { state != .stopped }
    var isStraight: Bool { if case .straight = state { true } else { false } }

    // MARK: Events

    /// - Parameter punches: whether to look for straight paths.
    mutating func start(punches: Bool = true, now: NetworkInstant) -> [Action] {
        self.punches = punches
        state = punches ? .punching : .relayed(next: now)
        return punches ? [.punch] : []
    }

    /// The peer knows nothing of straight paths: a relay is all that there is.
    mutating func stopPunching(now: NetworkInstant) {
        punches = false
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
        switch state {
        case .moving(let path, _) where succeeded:
            lastMigration = now
            let lookAt = now.advanced(by: Self.busyInterval)
            state = .straight(Watch(path: path, since: now, heardAt: now, probedAt: now, lookAt: lookAt))
        case .moving(_, let rest):
            guard let next = rest.first else {
                fail(now: now)
                return []
            }
            state = .moving(next, rest: Array(rest.dropFirst()))
            return [.migrate(next)]
        case .returning where succeeded:
            lastMigration = now
            state = .relayed(next: now.advanced(by: backoff))
        case .returning: state = .returning(retryAt: now.advanced(by: Self.returnInterval))
        case .stopped, .relayed, .punching, .straight: break
        }
        return []
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
        if case .straight(var watch) = state {
            // Whether the path is still one shows sooner when it is asked at once.
            (watch.heardAt, watch.probedAt, watch.lookAt) = (watch.since, watch.since, now)
            state = .straight(watch)
        }
        guard case .relayed(let next) = state else { return }
        let earliest = max(now, lastMigration?.advanced(by: Self.dwell) ?? now)
        state = .relayed(next: min(next, earliest.advanced(by: Self.firstBackoff / 4)))
    }

    /// The relay that carries the connection ended its circuit.
    mutating func relayLost(now: NetworkInstant) -> [Action] {
        switch state {
        case .relayed, .punching, .moving:
            state = .returning(retryAt: nil)
            return [.goBack]
        case .stopped, .straight, .returning: return []
        }
    }

    /// The straight path passes probes but not what QUIC sends, as one does that has become narrow: another path starts
    /// with small packets again.
    mutating func stalled(now: NetworkInstant) -> [Action] {
        guard case .straight(let watch) = state, now.duration(since: watch.since) >= Self.dwell else { return [] }
        return leave(watch, now: now)
    }

    private mutating func leave(_ watch: Watch, now: NetworkInstant) -> [Action] {
        failures = now.duration(since: watch.since) >= Self.lasting ? 0 : failures + 1
        state = .returning(retryAt: nil)
        return [.goBack]
    }

    /// The relay that had fallen silent speaks again.
    mutating func relayFound(now: NetworkInstant) {
        guard case .returning = state else { return }
        state = .relayed(next: now.advanced(by: Self.firstBackoff))
    }

    /// - Parameter isBusy: whether anything waits for the connection.
    mutating func timerFired(isBusy: Bool, now: NetworkInstant) -> [Action] {
        switch state {
        case .relayed(let next) where punches && next <= now:
            state = .punching
            return [.punch]
        case .straight(let watch): return look(watch, isBusy: isBusy, now: now)
        case .returning(let retryAt?) where retryAt <= now:
            state = .returning(retryAt: nil)
            return [.goBack]
        case .stopped, .relayed, .punching, .moving, .returning: return []
        }
    }

    // MARK: The straight path

    private static func due(_ watch: Watch, isBusy: Bool) -> NetworkInstant {
        guard watch.unanswered == 0 else { return watch.probedAt.advanced(by: retryInterval) }
        return max(watch.heardAt, watch.probedAt).advanced(by: isBusy ? busyInterval : idleInterval)
    }

    private mutating func look(_ watch: Watch, isBusy: Bool, now: NetworkInstant) -> [Action] {
        if let first = watch.firstUnanswered, watch.unanswered >= Self.unansweredLimit,
            now.duration(since: first) >= max(Self.patience, watch.path.roundTrip * 3)
        {
            return leave(watch, now: now)
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
