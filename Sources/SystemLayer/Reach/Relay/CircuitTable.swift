internal import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReactor

/// A relay's circuits, and which of them gives way when a limit is met: pure.
///
/// A source's own limits refuse. Those that many sources share, of a target's circuits and of all, are shared out: what
/// the target has not confirmed gives way first, of the subject that has most of it; then what is silent, the longest
/// first, for its ends make another when they need it. What is confirmed and only kept warm costs next to nothing and
/// counts for none of its target's: it stays as long as there is room for all, and then for those of targets with few.
/// What is confirmed and moves stays.
struct CircuitTable {
    typealias Client = RelayMachine.Client
    typealias Name = RelayLimits.Name

    enum OnOpen: Equatable {
        case opened(UInt64, instead: RelayMachine.Displaced?)
        case refused(RelayError)
    }

    /// How long a circuit has until it gives way to one of a subject that has as many: a few round trips, in which a
    /// member is admitted. The longer it is, the fewer subjects keep everybody else out by asking again and again.
    static let probation = Duration.seconds(1)
    /// Without frames for so long, an unconfirmed circuit ends, and a confirmed one may give way: a connection that runs
    /// over it sends keep-alives more often, the slowest (preset mobile) every 20 s.
    static let unusedTime = Duration.seconds(5)
    static let warmth = Duration.seconds(30)
    /// Bytes of frames a second up to which a circuit is only kept warm: keep-alives, a round of hole punching, a
    /// handshake with an admission. And how long one that moved more counts for moving.
    static let idleRate: UInt64 = 16 * 1024
    static let moved = Duration.seconds(3)
    /// The part of a target's circuits that unconfirmed ones may be: half.
    static let unconfirmedPart = 2

    private struct Circuit {
        let source: Client
        let target: Client
        let askedAt: NetworkInstant
        var openedAt: NetworkInstant?
        var carriedAt: NetworkInstant
        var movedAt: NetworkInstant?
        var isConfirmed = false

        /// Whether it is nothing but kept warm.
        func isIdle(_ now: NetworkInstant) -> Bool {
            isConfirmed && (movedAt.map { now.duration(since: $0) >= CircuitTable.moved } ?? true)
        }
    }

    private struct Pair: Hashable {
        let source: NodeID
        let target: NodeID
    }

    private typealias Item = (key: UInt64, value: Circuit)

    var limits: RelayLimits
    private var circuits: [UInt64: Circuit] = [:]
    private var next: UInt64 = 0
    private var sources = ClientCounts()
    private var from: [NodeID: Int] = [:]
    private var pairs: [Pair: Int] = [:]

    init(limits: RelayLimits) {
        self.limits = limits
    }

    var count: Int { circuits.count }

    // MARK: Opening

    mutating func open(from source: Client, to target: Client, now: NetworkInstant) -> OnOpen {
        if let error = refusal(of: source) { return .refused(error) }
        let displaced: RelayMachine.Displaced?
        switch room(for: source, to: target, now: now) {
        case .success(let victim): displaced = victim
        case .failure(let error): return .refused(error)
        }
        if let displaced { end(displaced.circuit) }
        next += 1
        circuits[next] = Circuit(source: source, target: target, askedAt: now, carriedAt: now)
        sources.add(source)
        from.increment(source.nodeID)
        pairs.increment(Pair(source: source.nodeID, target: target.nodeID))
        return .opened(next, instead: displaced)
    }

    /// The limits that nobody but the source, or its neighbours, can fill.
    private func refusal(of source: Client) -> RelayError? {
        if from[source.nodeID, default: 0] >= limits.circuitsPerNode {
            return .limit(Name.circuitsPerNode, limits.circuitsPerNode)
        }
        let share = RelayMachine.share(count, of: limits.circuits)
        if sources.count(source) >= max(limits.circuitsPerAddress / share, 1) {
            return .limit(Name.circuitsPerAddress, limits.circuitsPerAddress)
        }
        if sources.subnetCount(source) >= max(limits.circuitsPerSubnet / share, 1) {
            return .limit(Name.circuitsPerSubnet, limits.circuitsPerSubnet)
        }
        return nil
    }

    /// Whether there is room for one more; in place of another, when that is what it takes.
    private func room(
        for source: Client, to target: Client, now: NetworkInstant
    ) -> Result<RelayMachine.Displaced?, RelayError> {
        let pair = Pair(source: source.nodeID, target: target.nodeID)
        if pairs[pair, default: 0] >= limits.circuitsPerPair {
            let own = circuits.filter { $0.value.source.nodeID == pair.source && $0.value.target.nodeID == pair.target }
            return displace(own, Name.circuitsPerPair, limits.circuitsPerPair) { items in
                oldest(items.filter { !$0.value.isConfirmed && isOver($0, now) }) ?? silent(items, now: now)
            }
        }
        let mates = circuits.filter { $0.value.target.nodeID == target.nodeID }
        let unconfirmed = mates.filter { !$0.value.isConfirmed }
        if mates.count(where: { !$0.value.isIdle(now) }) >= limits.circuitsPerNode {
            return displace(mates, Name.circuitsPerNode, limits.circuitsPerNode) { items in
                heaviest(items, source, now) ?? silent(items, now: now)
            }
        }
        if unconfirmed.count >= max(limits.circuitsPerNode / Self.unconfirmedPart, 1) {
            return displace(unconfirmed, Name.circuitsPerNode, limits.circuitsPerNode) { heaviest($0, source, now) }
        }
        guard count >= limits.circuits else { return .success(nil) }
        return displace(circuits, Name.circuits, limits.circuits) { items in
            heaviest(items, source, now) ?? silent(items, now: now) ?? surplus(items, besides: mates.count, now: now)
        }
    }

    private func displace(
        _ items: [UInt64: Circuit], _ name: String, _ maximum: Int, _ choose: ([Item]) -> UInt64?
    ) -> Result<RelayMachine.Displaced?, RelayError> {
        let error = RelayError.limit(name, maximum)
        guard let victim = choose(items.map { ($0.key, $0.value) }), let limit = error.limit else {
            return .failure(error)
        }
        return .success(RelayMachine.Displaced(circuit: victim, limit: limit))
    }

    // MARK: Who gives way

    private func isOver(_ item: Item, _ now: NetworkInstant) -> Bool {
        now.duration(since: item.value.askedAt) >= Self.probation
    }

    private func oldest(_ items: [Item]) -> UInt64? { items.map(\.key).min() }

    /// Of what is unconfirmed, the oldest of the subject that has most: when that has more than `newcomer`'s, or when
    /// its time of probation is over.
    private func heaviest(_ items: [Item], _ newcomer: Client, _ now: NetworkInstant) -> UInt64? {
        let unconfirmed = items.filter { !$0.value.isConfirmed }
        var counts: [Subject: Int] = [:]
        for item in unconfirmed { counts.increment(item.value.source.subject) }
        let own = counts[newcomer.subject, default: 0] + 1
        return unconfirmed.filter { counts[$0.value.source.subject, default: 0] > own || isOver($0, now) }
            .min { left, right in
                let (first, second) = (counts[left.value.source.subject] ?? 0, counts[right.value.source.subject] ?? 0)
                return first == second ? left.key < right.key : first > second
            }?.key
    }

    /// Of what is confirmed and only kept warm, the longest silent.
    private func silent(_ items: [Item], now: NetworkInstant) -> UInt64? {
        items.filter { now.duration(since: $0.value.carriedAt) >= Self.warmth }
            .min { ($0.value.carriedAt, $0.key) < ($1.value.carriedAt, $1.key) }?.key
    }

    /// Of what is only kept warm, one of the target that has most, when that has more than a node's circuits and more than
    /// `count`, those of the newcomer's: everybody else is not to go without because one node is sought by many.
    private func surplus(_ items: [Item], besides count: Int, now: NetworkInstant) -> UInt64? {
        var counts: [NodeID: Int] = [:]
        for item in items { counts.increment(item.value.target.nodeID) }
        guard let most = counts.values.max(), most > max(limits.circuitsPerNode, count + 1) else { return nil }
        return items.filter { $0.value.isIdle(now) && counts[$0.value.target.nodeID] == most }.map(\.key).min()
    }

    // MARK: A circuit's life

    mutating func accept(_ circuit: UInt64, now: NetworkInstant) {
        circuits[circuit]?.openedAt = now
        circuits[circuit]?.carriedAt = now
    }

    mutating func confirm(_ circuit: UInt64) { circuits[circuit]?.isConfirmed = true }

    /// - Parameter bytes: of frames, in the second before.
    mutating func carried(_ circuit: UInt64, bytes: UInt64, now: NetworkInstant) {
        circuits[circuit]?.carriedAt = now
        if bytes > Self.idleRate { circuits[circuit]?.movedAt = now }
    }

    mutating func end(_ circuit: UInt64) {
        guard let gone = circuits.removeValue(forKey: circuit) else { return }
        sources.remove(gone.source)
        from.decrement(gone.source.nodeID)
        pairs.decrement(Pair(source: gone.source.nodeID, target: gone.target.nodeID))
    }

    func circuits(on session: UInt64) -> [UInt64] {
        circuits.filter { $0.value.source.session == session || $0.value.target.session == session }.keys.sorted()
    }

    /// Circuits open for longer than one may be.
    func overdue(now: NetworkInstant) -> [UInt64] {
        guard let time = limits.circuitTime else { return [] }
        return circuits.filter { $0.value.openedAt.map { now.duration(since: $0) >= time } ?? false }.keys.sorted()
    }

    /// Open circuits that the target has not confirmed and that carry nothing.
    func unused(now: NetworkInstant) -> [UInt64] {
        circuits.filter {
            $0.value.openedAt != nil && !$0.value.isConfirmed
                && now.duration(since: $0.value.carriedAt) >= Self.unusedTime
        }.keys.sorted()
    }
}
