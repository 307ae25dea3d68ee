internal import DeP2PIdentity
internal import DeP2PReactor
internal import DeP2PSessions

/// Happy eyeballs over direct addresses (RFC 8305), with TCP and paths through relays soon behind them: pure.
///
/// States: `racing` (attempts run, more may be added) → `done`. Calling order: ``add(_:for:now:)`` candidates as they become
/// known and ``noMoreCandidates(now:)`` after the last, or ``moreCandidates()`` when somebody may add more after all;
/// ``timerFired(now:)`` at ``wake``; one ``attemptSucceeded(_:place:now:)`` or ``attemptFailed(_:_:now:)`` for each
/// `start`. Carry the returned actions out in order.
struct DialMachine: TimedMachine {
    /// Between two attempts (RFC 8305 section 5, the recommended value).
    static let stagger = Duration.milliseconds(250)

    /// How long direct addresses have the network to themselves; with none of them left, relays start at once. A path
    /// through a relay takes two more handshakes, so that a direct one that answers is first on slow paths too.
    static let relayDelay = Duration.milliseconds(150)

    /// How long UDP has to itself before TCP to the same node starts. TCP and its TLS need two round trips before the
    /// handshake that UDP has begun long since, so that TCP wins only where UDP does not pass, on slow paths too.
    static let tcpDelay = Duration.milliseconds(150)

    enum Way: Hashable {
        case direct(SocketAddress)
        /// QUIC inside TLS over TCP, to a relay.
        case tcp(SocketAddress)
        /// Through the relay at these addresses: one relay, with all the ways to it.
        case relay([Address])
    }

    fileprivate enum Lane { case udp, tcp, relay }

    struct Candidate: Hashable {
        let way: Way
        /// What an attempt at it is told as.
        let place: ConnectAttempt.Place

        init(_ way: Way, _ place: ConnectAttempt.Place) {
            self.way = way
            self.place = place
        }

        var family: IPAddress.Family? {
            if case .direct(let address) = way { address.ip.family } else { nil }
        }

        fileprivate var relayID: NodeID? { if case .relay(let ways) = way { ways.first?.nodeID } else { nil } }

        var stage: ConnectAttempt.Stage { if case .relay = way { .relay } else { .direct } }

        fileprivate var lane: Lane {
            switch way {
            case .direct: .udp
            case .tcp: .tcp
            case .relay: .relay
            }
        }
    }

    enum Action: Equatable {
        case start(Int, Candidate)
        /// This attempt won; the others are to be cancelled.
        case connected(Int, cancel: [Int])
        /// What the race says of UDP: TCP to the node came through before UDP had any answer, or UDP has answered.
        case observedUDP(works: Bool)
        /// Nothing is left to try.
        case exhausted
    }

    private struct Attempt {
        let candidate: Candidate
        var outcome: ConnectAttempt.Outcome?

        var isRunning: Bool { outcome == nil }
    }

    private let startedAt: NetworkInstant
    private let candidateLimit: Int
    private var udp: UDPExpectation
    private var seen: Set<Way> = []
    private var waiting: [Candidate] = []
    private var overTCP: [Candidate] = []
    private var relays: [Candidate] = []
    private var nextTCP: NetworkInstant
    private var nextRelay: NetworkInstant
    private var attempts: [Attempt] = []
    private var lastFamily: IPAddress.Family?
    private var nextStart: NetworkInstant
    private var moreExpected = true
    private(set) var isDone = false
    /// Candidates taken of each asker.
    private var counts: [Int: Int] = [:]
    /// Every attempt that is over, in that order.
    private(set) var records: [ConnectAttempt] = []

    /// - Parameter candidateLimit: for each asker.
    init(startedAt: NetworkInstant, candidateLimit: Int, udp: UDPExpectation = .works) {
        self.startedAt = startedAt
        self.candidateLimit = candidateLimit
        self.udp = udp
        nextStart = startedAt
        nextTCP = udp == .works ? startedAt.advanced(by: Self.tcpDelay) : startedAt
        nextRelay = udp == .works ? startedAt.advanced(by: Self.relayDelay) : startedAt
    }

    /// What is expected of UDP, known late.
    mutating func expect(_ udp: UDPExpectation) {
        self.udp = udp
        if udp != .works { (nextTCP, nextRelay) = (min(nextTCP, startedAt), min(nextRelay, startedAt)) }
    }

    /// - Parameter asker: whose room they take: nobody's candidates displace another's.
    mutating func add(_ candidates: [Candidate], for asker: Int = 1, now: NetworkInstant) -> [Action] {
        guard !isDone else { return [] }
        for candidate in candidates
        where counts[asker, default: 0] < candidateLimit && seen.insert(candidate.way).inserted {
            counts[asker, default: 0] += 1
            switch candidate.lane {
            case .udp: waiting.append(candidate)
            case .tcp: overTCP.append(candidate)
            case .relay: addRelay(candidate)
            }
        }
        return advance(now: now)
    }

    /// Another way to a relay that has not been tried yet is one more for the attempt to come.
    private mutating func addRelay(_ candidate: Candidate) {
        guard case .relay(let ways) = candidate.way, let relay = ways.first?.nodeID,
            let index = relays.firstIndex(where: { $0.relayID == relay }), case .relay(let known) = relays[index].way
        else { return relays.append(candidate) }
        relays[index] = Candidate(.relay(known + ways.filter { !known.contains($0) }), relays[index].place)
    }

    /// More may be added after all.
    mutating func moreCandidates() { moreExpected = true }

    /// Notes something that ended outside the race, such as a name that did not resolve.
    mutating func note(
        _ stage: ConnectAttempt.Stage, _ place: ConnectAttempt.Place, _ failure: TransportFailure, now: NetworkInstant
    ) {
        records.append(
            ConnectAttempt(
                stage: stage, place: place, elapsed: now.duration(since: startedAt), outcome: failure.outcome,
                detail: failure.detail, remedy: failure.remedy))
    }

    /// Notes what was a part of an attempt that began at `begun`.
    mutating func note(_ attempt: ConnectAttempt, begun: NetworkInstant) {
        records.append(
            ConnectAttempt(
                stage: attempt.stage == .direct ? .relay : attempt.stage, place: attempt.place,
                elapsed: begun.duration(since: startedAt) + attempt.elapsed, outcome: attempt.outcome,
                detail: attempt.detail, remedy: attempt.remedy))
    }

    mutating func noMoreCandidates(now: NetworkInstant) -> [Action] {
        moreExpected = false
        return advance(now: now)
    }

    /// When the next attempt is due.
    var wake: NetworkInstant? {
        guard !isDone else { return nil }
        let dues = [
            waiting.isEmpty || isHeld ? nil : nextStart, overTCP.isEmpty ? nil : tcpStart,
            relays.isEmpty ? nil : relayStart,
        ]
        return dues.compactMap(\.self).min()
    }

    mutating func timerFired(now: NetworkInstant) -> [Action] { advance(now: now) }

    /// - Parameter place: the one that was used in the end, where the candidate had several.
    mutating func attemptSucceeded(_ id: Int, place: ConnectAttempt.Place? = nil, now: NetworkInstant) -> [Action] {
        guard !isDone, attempts[id].isRunning else { return [] }
        let observed = observation(winner: attempts[id].candidate)
        let isBlocked = observed == [.observedUDP(works: false)]
        finish(id, TransportFailure(.connected, detail: ""), place: place, now: now)
        let others = attempts.indices.filter { attempts[$0].isRunning }
        for other in others {
            // Three round trips and a head start without an answer are one.
            let isLost = isBlocked && attempts[other].candidate.lane == .udp
            finish(
                other,
                isLost
                    ? TransportFailure(.timeout, detail: "UDP blocked: TCP to the same node came through")
                    : TransportFailure(.superseded, detail: "another address answered"), now: now)
        }
        isDone = true
        return observed + [.connected(id, cancel: others)]
    }

    /// Only a node that has both ways tells anything: others may just be away.
    private func observation(winner: Candidate) -> [Action] {
        switch winner.lane {
        case .udp where attempts.contains { $0.candidate.lane == .tcp } || !overTCP.isEmpty:
            return [.observedUDP(works: true)]
        case .tcp where attempts.contains { $0.candidate.lane == .udp }:
            let answered: Set<ConnectAttempt.Outcome> = [.refused, .wrongPeer, .handshakeFailed, .closed]
            return attempts.contains { $0.candidate.lane == .udp && $0.outcome.map(answered.contains) ?? false }
                ? [] : [.observedUDP(works: false)]
        default: return []
        }
    }

    /// The next attempt starts at once instead of waiting for its turn (RFC 8305 section 5).
    mutating func attemptFailed(_ id: Int, _ failure: TransportFailure, now: NetworkInstant) -> [Action] {
        guard !isDone, attempts[id].isRunning else { return [] }
        finish(id, failure, now: now)
        switch attempts[id].candidate.lane {
        case .udp: nextStart = now
        case .tcp: nextTCP = min(now, nextTCP)
        case .relay: nextRelay = now
        }
        return advance(now: now)
    }

    /// Ends the race from outside: what still runs is recorded with `failure`.
    mutating func abandon(_ failure: TransportFailure, now: NetworkInstant) -> [Int] {
        let running = attempts.indices.filter { attempts[$0].isRunning }
        for id in running { finish(id, failure, now: now) }
        isDone = true
        return running
    }

    private mutating func finish(
        _ id: Int, _ failure: TransportFailure, place: ConnectAttempt.Place? = nil, now: NetworkInstant
    ) {
        attempts[id].outcome = failure.outcome
        note(attempts[id].candidate.stage, place ?? attempts[id].candidate.place, failure, now: now)
    }

    private mutating func advance(now: NetworkInstant) -> [Action] {
        guard !isDone else { return [] }
        if waiting.isEmpty, overTCP.isEmpty, relays.isEmpty {
            guard !moreExpected, !attempts.contains(where: \.isRunning) else { return [] }
            isDone = true
            return [.exhausted]
        }
        var actions: [Action] = []
        if !waiting.isEmpty, !isHeld, now >= nextStart {
            actions.append(start(takeNext()))
            nextStart = now.advanced(by: Self.stagger)
        }
        if !overTCP.isEmpty, now >= tcpStart {
            actions.append(start(overTCP.removeFirst()))
            nextTCP = now.advanced(by: Self.stagger)
        }
        if !relays.isEmpty, now >= relayStart {
            actions.append(start(relays.removeFirst()))
            nextRelay = now.advanced(by: Self.stagger)
        }
        return actions
    }

    private func isRunning(_ lane: Lane) -> Bool { attempts.contains { $0.isRunning && $0.candidate.lane == lane } }

    /// UDP waits for TCP to fail where it is known to be blocked, and this is no time to look again.
    private var isHeld: Bool { udp == .blocked(isProbed: false) && (!overTCP.isEmpty || isRunning(.tcp)) }

    /// When the next TCP attempt is due: with no UDP under way or to come, there is nothing to wait for.
    private var tcpStart: NetworkInstant {
        moreExpected || !waiting.isEmpty || isRunning(.udp) || isRunning(.tcp) ? nextTCP : startedAt
    }

    /// When the next relay is due: with nothing direct under way or to come, there is nothing to wait for.
    private var relayStart: NetworkInstant {
        let isDirectLeft =
            moreExpected || !waiting.isEmpty || !overTCP.isEmpty || isRunning(.udp) || isRunning(.tcp)
        return isDirectLeft || isRunning(.relay) ? nextRelay : startedAt
    }

    private mutating func start(_ candidate: Candidate) -> Action {
        attempts.append(Attempt(candidate: candidate))
        return .start(attempts.count - 1, candidate)
    }

    /// IPv6 first, then the families in turn (RFC 8305 section 4), each in the order given.
    private mutating func takeNext() -> Candidate {
        let wanted: IPAddress.Family = lastFamily == .v6 ? .v4 : .v6
        let index = waiting.firstIndex { $0.family == wanted } ?? 0
        let candidate = waiting.remove(at: index)
        lastFamily = candidate.family
        return candidate
    }
}
