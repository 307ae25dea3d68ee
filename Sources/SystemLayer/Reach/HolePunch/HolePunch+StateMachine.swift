internal import DeP2PIdentity
internal import DeP2PReactor

/// The probes of one connection, either side: pure.
///
/// Between rounds it answers the peer's probes, and sends single ones with ``probe(_:now:)`` to see whether a path
/// lives. A round begins with ``begin(_:rules:now:)``: every target is probed in ``passes``, an address from which an
/// authenticated probe came joins them (the peer's NAT gave it that one for this path alone), and who answers is in
/// ``paths``; it ends with ``end()``. Calling order: any; ``timerFired(now:)`` when the instant of ``wake`` comes.
struct ProbeMachine: TimedMachine {
    typealias Action = Transmission

    /// When, after a round's begin, every target is probed once more.
    static let passes: [Duration] = [0, 80, 200, 400, 700, 1_100, 1_600].map { .milliseconds($0) }
    /// Probes of one round.
    static let roundLimit = 280
    /// Probes a second, and at once.
    static let rate = 400
    static let burst = 48
    /// Answers a second to one peer, and at once.
    static let answerRate = 100
    static let answerBurst = 64
    /// Probes whose answers are awaited.
    static let outstandingLimit = 128
    /// Paths kept of one round, and addresses remembered that the peer's probes came from.
    static let pathLimit = 16
    static let sourceLimit = 64

    /// A way that works in both directions.
    struct Path: Equatable, Sendable {
        /// The peer's address on it.
        let remote: SocketAddress
        /// This node's address on it, as the peer sees it.
        let observed: SocketAddress
        let roundTrip: Duration
        /// Where the answer came in, when ports were guessed: it may be one of many sockets.
        var local: SocketAddress?
    }

    struct Transmission: Equatable {
        let packet: ProbePacket
        let destination: SocketAddress
        /// This node's address that it is to leave from; `nil` leaves that to the system.
        var source: SocketAddress?
    }

    enum OnReceive: Equatable {
        case ignored
        /// An authenticated probe: send this.
        case answer([Transmission])
        /// The peer answered on this path.
        case answered(Path)
        /// What the peer sends over QUIC does not arrive.
        case stalled
        /// The peer is where this came from now.
        case moved
    }

    private struct Outstanding {
        let destination: SocketAddress
        let nonce: UInt64
        let sentAt: NetworkInstant
    }

    private struct Round {
        let rules: CandidateRules
        let startedAt: NetworkInstant
        var targets: [SocketAddress]
        var queue: [SocketAddress]
        var passesDone = 0
        var sent = 0
        var waitsForRate: NetworkInstant?
    }

    private(set) var paths: [Path] = []
    /// Where the peer's latest probes came from, authenticated each.
    private(set) var sources: [SocketAddress] = []
    private var round: Round?
    /// Whether ports are guessed: what answers is kept as in a round, what is sent is ``BirthdayMachine``'s to say.
    private var isGuessing = false
    private var random: any RandomNumberGenerator & Sendable
    private var sequence: UInt32 = 0
    private var outstanding: [UInt32: Outstanding] = [:]
    /// The highest sequence number that came, and which of the 127 before it did.
    private var received: (highest: UInt32, mask: UInt128) = (0, 0)
    private var probes = TokenBucket(rate: rate, burst: burst)
    private var answers = TokenBucket(rate: answerRate, burst: answerBurst)

    init(random: any RandomNumberGenerator & Sendable) {
        self.random = random
    }

    var isProbing: Bool { round != nil }

    /// When something is next due.
    var wake: NetworkInstant? {
        guard let round, round.sent < Self.roundLimit else { return nil }
        if !round.queue.isEmpty { return round.waitsForRate ?? round.startedAt }
        guard round.passesDone < Self.passes.count else { return nil }
        return round.startedAt.advanced(by: Self.passes[round.passesDone])
    }

    // MARK: Rounds

    mutating func begin(_ targets: [SocketAddress], rules: CandidateRules, now: NetworkInstant) -> [Transmission] {
        paths = []
        round = Round(rules: rules, startedAt: now, targets: targets, queue: [])
        return timerFired(now: now)
    }

    mutating func end() { (round, isGuessing) = (nil, false) }

    /// From now on, until ``end()``, whoever answers is in ``paths``.
    mutating func beginGuessing() {
        (paths, round, isGuessing) = ([], nil, true)
    }

    mutating func timerFired(now: NetworkInstant) -> [Transmission] {
        guard var current = round else { return [] }
        while current.passesDone < Self.passes.count,
            current.startedAt.advanced(by: Self.passes[current.passesDone]) <= now
        {
            current.passesDone += 1
            // What has not been sent of the pass before is not sent twice.
            let waiting = Set(current.queue)
            current.queue += current.targets.filter { target in
                !waiting.contains(target) && !paths.contains { $0.remote == target }
            }
        }
        current.waitsForRate = nil
        round = current
        return drain(now: now)
    }

    private mutating func drain(now: NetworkInstant) -> [Transmission] {
        var result: [Transmission] = []
        while var current = round, !current.queue.isEmpty, current.sent < Self.roundLimit {
            guard probes.takeNow(now: now) else {
                current.waitsForRate = now.advanced(by: .milliseconds(5))
                round = current
                return result
            }
            let target = current.queue.removeFirst()
            current.sent += 1
            round = current
            result.append(probe(target, now: now))
        }
        return result
    }

    // MARK: Packets

    /// One probe to `destination`, in a round or not.
    mutating func probe(
        _ destination: SocketAddress, from source: SocketAddress? = nil, now: NetworkInstant
    ) -> Transmission {
        sequence &+= 1
        let nonce = random.next()
        if outstanding.count >= Self.outstandingLimit, let oldest = outstanding.keys.min() {
            outstanding[oldest] = nil
        }
        outstanding[sequence] = Outstanding(destination: destination, nonce: nonce, sentAt: now)
        return Transmission(
            packet: ProbePacket(.probe, sequence: sequence, nonce: nonce), destination: destination, source: source)
    }

    /// Tells the peer at `destination` that what goes there over QUIC is not acknowledged.
    mutating func stall(_ destination: SocketAddress) -> Transmission { word(.stalled, to: destination) }

    /// Tells the peer at `destination` from where this side sends now.
    mutating func moved(_ destination: SocketAddress) -> Transmission { word(.moved, to: destination) }

    private mutating func word(_ kind: ProbePacket.Kind, to destination: SocketAddress) -> Transmission {
        sequence &+= 1
        return Transmission(
            packet: ProbePacket(kind, sequence: sequence, nonce: random.next()), destination: destination, source: nil)
    }

    /// Takes an authenticated packet that came from `remote` to `local`.
    mutating func receive(
        _ packet: ProbePacket, from remote: SocketAddress, to local: SocketAddress, now: NetworkInstant
    ) -> OnReceive {
        switch packet.kind {
        case .probe: receiveProbe(packet, from: remote, to: local, now: now)
        case .answer: receiveAnswer(packet, from: remote, to: local, now: now)
        case .stalled: isFresh(packet.sequence) ? .stalled : .ignored
        case .moved: isFresh(packet.sequence) ? .moved : .ignored
        }
    }

    private mutating func receiveProbe(
        _ packet: ProbePacket, from remote: SocketAddress, to local: SocketAddress, now: NetworkInstant
    ) -> OnReceive {
        guard isFresh(packet.sequence), answers.takeNow(now: now) else { return .ignored }
        note(remote)
        let answer = ProbePacket(.answer, sequence: packet.sequence, nonce: packet.nonce, observed: remote)
        var result = [Transmission(packet: answer, destination: remote, source: local)]
        if let current = round, !current.targets.contains(remote), current.rules.admits(remote),
            current.targets.count < 2 * Candidate.addressLimit, current.sent < Self.roundLimit
        {
            round?.targets.append(remote)
            round?.sent += 1
            result.append(probe(remote, now: now))
        }
        return .answer(result)
    }

    private mutating func note(_ source: SocketAddress) {
        guard !sources.contains(source) else { return }
        if sources.count >= Self.sourceLimit { sources.removeFirst() }
        sources.append(source)
    }

    private mutating func receiveAnswer(
        _ packet: ProbePacket, from remote: SocketAddress, to local: SocketAddress, now: NetworkInstant
    ) -> OnReceive {
        guard let probe = outstanding[packet.sequence], probe.nonce == packet.nonce, probe.destination == remote,
            let observed = packet.observed
        else { return .ignored }
        outstanding[packet.sequence] = nil
        let path = Path(
            remote: remote, observed: observed, roundTrip: now.duration(since: probe.sentAt),
            local: isGuessing ? local : nil)
        if round != nil || isGuessing, paths.count < Self.pathLimit, !paths.contains(where: { $0.remote == remote }) {
            paths.append(path)
        }
        return .answered(path)
    }

    /// Whether a probe of that number has not come before: who repeats one elsewhere gets no answer.
    private mutating func isFresh(_ number: UInt32) -> Bool {
        guard number > 0 else { return false }
        if number > received.highest {
            let ahead = number - received.highest
            received.mask = ahead >= 128 ? 1 : received.mask << UInt128(ahead) | 1
            received.highest = number
            return true
        }
        let behind = received.highest - number
        guard behind < 128 else { return false }
        let bit = UInt128(1) << UInt128(behind)
        guard received.mask & bit == 0 else { return false }
        received.mask |= bit
        return true
    }
}
