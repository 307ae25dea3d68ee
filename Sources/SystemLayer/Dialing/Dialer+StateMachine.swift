internal import Identity
internal import QUIC

/// Happy eyeballs over direct addresses (RFC 8305), with paths through relays soon behind them: pure.
///
/// States: `racing` (attempts run, more may be added) → `done`. Calling order: ``add(_:now:)`` candidates as they become
/// known and ``noMoreCandidates(now:)`` after the last; ``timerFired(now:)`` at the time that a `wake` action named; one
/// ``attemptSucceeded(_:now:)`` or ``attemptFailed(_:outcome:detail:now:)`` for each `start`. Carry the returned
/// actions out in order.
struct DialMachine {
    /// Between two attempts (RFC 8305 section 5, the recommended value).
    static let stagger = Duration.milliseconds(250)

    /// How long direct addresses have the network to themselves; with none of them left, relays start at once.
    static let relayDelay = Duration.milliseconds(500)

    enum Way: Hashable {
        case direct(SocketAddress)
        /// Through the relay at that address, and the address as it was given.
        case relay(Address)
    }

    struct Candidate: Hashable {
        let way: Way
        let text: String

        init(_ way: Way, text: String) {
            self.way = way
            self.text = text
        }

        init(address: SocketAddress, text: String) { self.init(.direct(address), text: text) }

        var family: IPAddress.Family? {
            if case .direct(let address) = way { address.ip.family } else { nil }
        }

        var stage: ConnectAttempt.Stage { family == nil ? .relay : .direct }
    }

    enum Action: Equatable {
        case start(Int, Candidate)
        case wake(at: NetworkInstant)
        /// This attempt won; the others are to be cancelled.
        case connected(Int, cancel: [Int])
        /// Nothing is left to try.
        case exhausted
    }

    private struct Attempt {
        let candidate: Candidate
        var isRunning = true
    }

    private let startedAt: NetworkInstant
    private let candidateLimit: Int
    private var seen: Set<Way> = []
    private var waiting: [Candidate] = []
    private var relays: [Candidate] = []
    private var nextRelay: NetworkInstant
    private var attempts: [Attempt] = []
    private var lastFamily: IPAddress.Family?
    private var nextStart: NetworkInstant
    private var moreExpected = true
    private var isDone = false
    /// Every attempt that is over, in that order.
    private(set) var records: [ConnectAttempt] = []

    init(startedAt: NetworkInstant, candidateLimit: Int) {
        self.startedAt = startedAt
        self.candidateLimit = candidateLimit
        nextStart = startedAt
        nextRelay = startedAt.advanced(by: Self.relayDelay)
    }

    mutating func add(_ candidates: [Candidate], now: NetworkInstant) -> [Action] {
        guard !isDone else { return [] }
        for candidate in candidates where seen.count < candidateLimit && seen.insert(candidate.way).inserted {
            if candidate.stage == .relay { relays.append(candidate) } else { waiting.append(candidate) }
        }
        return advance(now: now)
    }

    /// Notes something that ended outside the race, such as a name that did not resolve.
    mutating func note(
        _ stage: ConnectAttempt.Stage, _ address: String, _ failure: TransportFailure, now: NetworkInstant
    ) {
        records.append(
            ConnectAttempt(
                stage: stage, address: address, elapsed: now.duration(since: startedAt), outcome: failure.outcome,
                detail: failure.detail))
    }

    mutating func noMoreCandidates(now: NetworkInstant) -> [Action] {
        moreExpected = false
        return advance(now: now)
    }

    mutating func timerFired(now: NetworkInstant) -> [Action] { advance(now: now) }

    mutating func attemptSucceeded(_ id: Int, now: NetworkInstant) -> [Action] {
        guard !isDone, attempts[id].isRunning else { return [] }
        finish(id, TransportFailure(.connected, detail: ""), now: now)
        let others = attempts.indices.filter { attempts[$0].isRunning }
        for other in others {
            finish(other, TransportFailure(.superseded, detail: "another address answered"), now: now)
        }
        isDone = true
        return [.connected(id, cancel: others)]
    }

    /// The next attempt starts at once instead of waiting for its turn (RFC 8305 section 5).
    mutating func attemptFailed(_ id: Int, _ failure: TransportFailure, now: NetworkInstant) -> [Action] {
        guard !isDone, attempts[id].isRunning else { return [] }
        finish(id, failure, now: now)
        if attempts[id].candidate.stage == .relay { nextRelay = now } else { nextStart = now }
        return advance(now: now)
    }

    /// Ends the race from outside: what still runs is recorded with `failure`.
    mutating func abandon(_ failure: TransportFailure, now: NetworkInstant) -> [Int] {
        let running = attempts.indices.filter { attempts[$0].isRunning }
        for id in running { finish(id, failure, now: now) }
        isDone = true
        return running
    }

    private mutating func finish(_ id: Int, _ failure: TransportFailure, now: NetworkInstant) {
        attempts[id].isRunning = false
        note(attempts[id].candidate.stage, attempts[id].candidate.text, failure, now: now)
    }

    private mutating func advance(now: NetworkInstant) -> [Action] {
        guard !isDone else { return [] }
        let isRunning = attempts.contains(where: \.isRunning)
        if waiting.isEmpty, relays.isEmpty {
            guard !moreExpected, !isRunning else { return [] }
            isDone = true
            return [.exhausted]
        }
        var actions: [Action] = []
        if !waiting.isEmpty, now >= nextStart {
            actions.append(start(takeNext()))
            nextStart = now.advanced(by: Self.stagger)
        }
        if !relays.isEmpty, now >= relayStart {
            actions.append(start(relays.removeFirst()))
            nextRelay = now.advanced(by: Self.stagger)
        }
        let wake = [waiting.isEmpty ? nil : nextStart, relays.isEmpty ? nil : relayStart].compactMap(\.self).min()
        return actions + (wake.map { [.wake(at: $0)] } ?? [])
    }

    /// When the next relay is due: with nothing direct under way or to come, there is nothing to wait for.
    private var relayStart: NetworkInstant {
        let isDirectLeft =
            moreExpected || !waiting.isEmpty
            || attempts.contains { $0.isRunning && $0.candidate.stage == .direct }
        let hasRelay = attempts.contains { $0.isRunning && $0.candidate.stage == .relay }
        return isDirectLeft || hasRelay ? nextRelay : startedAt
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
