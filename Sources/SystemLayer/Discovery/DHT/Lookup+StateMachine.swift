package import DeP2PReactor

/// Finds the nodes nearest to a key by asking ever nearer ones (Kademlia, section 2.3), on disjoint paths (S/Kademlia,
/// section 4.4): pure, an iterator that knows neither messages nor connections.
///
/// Each path has candidates of its own, and no node is asked on two paths: who answers with nothing but accomplices
/// keeps one path to himself, and not the others. A path begins with few of the nodes that this one knows and is given
/// the next when it has nobody left to ask. It has arrived when the ``resultWidth`` nearest that it knows have answered,
/// the lookup when all paths have, and when nobody within ``Scope`` is left to be asked.
///
/// Calling order: ``start(now:)``; ``answered(_:closer:now:)`` or ``failed(_:now:)`` for each request, as they come;
/// ``stop()`` when what was looked for is there. After ``Action/finished(_:)`` nothing more is done, and what is still
/// under way is of no use to it.
package struct LookupMachine: TimedMachine, Sendable {
    package static let pathCount = 3
    /// The nearest of a path that have to have answered.
    package static let resultWidth = 3
    /// How many of the nearest of a path are asked before these have answered.
    static let pathWidth = 4
    /// Contacts looked at in one answer.
    package static let answerLimit = DHT.replication
    /// Of one subnet in one answer; of a subnet with more all are left out, since a table holds no more of one in a bucket.
    package static let perSubnet = 3
    /// Requests of one lookup, whatever it is answered.
    package static let requestLimit = 160
    /// Connections made ahead of need that are not used yet.
    package static let dialsAhead = 4
    /// Connections made ahead of need at all.
    package static let dialLimit = 16
    /// A request that is silent for this long holds no place of the ``DHT/concurrency`` any more, at most; less where
    /// the scope says so and others have answered sooner (``AnswerTimes``).
    package static let patience: Duration = .milliseconds(750)
    /// The same, from when on it has failed.
    package static let requestTimeout: Duration = .seconds(5)
    package static let timeLimit: Duration = .seconds(30)

    /// Who has to be asked beyond those that lead to the target.
    package struct Scope: Hashable, Sendable {
        /// Everybody nearer than this.
        package var reach: XORDistance
        /// So many of the nearest.
        package var nearest: Int
        /// Requests under way at once: more where somebody waits for all of them.
        package var concurrency: Int
        /// Where somebody waits for all of them: how many times as long as others took one may be silent before another is asked
        /// beside it. It costs requests, and saves waiting for those that have left.
        package var slack: Double?

        package static let target = Scope(reach: .zero, nearest: 0)

        package init(
            reach: XORDistance, nearest: Int, concurrency: Int = DHT.concurrency, slack: Double? = nil
        ) {
            (self.reach, self.nearest, self.concurrency, self.slack) = (reach, nearest, concurrency, slack)
        }

        /// To store a record: everybody within reach, and no fewer than k.
        package static func store(reach: XORDistance?) -> Scope {
            Scope(reach: reach ?? .zero, nearest: DHT.replication, concurrency: DHT.replication, slack: 1.5)
        }

        /// To find one: the same, one after the other, since the first may have it.
        package static func record(reach: XORDistance?) -> Scope {
            Scope(reach: reach ?? .zero, nearest: DHT.replication)
        }
    }

    package enum Action: Equatable, Sendable {
        /// Ask it for the nodes closest to the target.
        case ask(DHTContact)
        /// It may be asked soon: a connection made now is time saved then.
        case dial(DHTContact)
        case finished(Outcome)
    }

    package struct Outcome: Equatable, Sendable {
        /// Those that answered, the nearest first.
        package let closest: [DHTContact]
        /// Requests that were sent, and those of them that failed.
        package let requests: Int
        package let failures: Int
        /// Requests that lay one behind the other until the last of the nearest was found.
        package let rounds: Int
        /// Whether it ended because it had arrived.
        package let hasArrived: Bool
    }

    package let target: DHTKey
    private let scope: Scope
    private let localKey: DHTKey?
    private var seeds: ArraySlice<DHTContact>
    private var candidates: LookupCandidates
    private var times: AnswerTimes
    private let startedAt: NetworkInstant
    private var requests = 0
    private var failures = 0
    private var dials = 0
    package private(set) var isFinished = false

    /// - Parameters:
    ///   - localKey: this node's, which is not asked.
    ///   - seeds: those of the routing table that are nearest, the nearest first.
    package init(
        target: DHTKey, scope: Scope = .target, localKey: DHTKey?, seeds: [DHTContact], now: NetworkInstant
    ) {
        self.target = target
        self.scope = scope
        self.localKey = localKey
        self.seeds = seeds.filter { $0.key != localKey }[...]
        candidates = LookupCandidates(target: target)
        times = AnswerTimes(limit: Self.patience, slack: scope.slack)
        startedAt = now
    }

    // MARK: Events

    package mutating func start(now: NetworkInstant) -> [Action] {
        for place in 0..<DHT.concurrency { feed(place % Self.pathCount) }
        return proceed(now: now)
    }

    /// - Parameter closer: the contacts in its answer, whose addresses a stranger may name.
    package mutating func answered(_ key: DHTKey, closer: [DHTContact], now: NetworkInstant) -> [Action] {
        guard !isFinished, let index = candidates.index(of: key), isUnderWay(candidates.all[index].state) else {
            return []
        }
        let responder = candidates.all[index]
        if let since = responder.state.askedAt { times.add(now.duration(since: since)) }
        candidates.settle(index, answered: true)
        let heirs = heirs(of: responder.owner ?? 0)
        let contacts = Self.diverse(closer).filter { $0.key != localKey && $0.key != key }
        for (place, contact) in contacts.enumerated() {
            candidates.add(contact, path: heirs[place % heirs.count], depth: responder.depth + 1, nominator: key)
        }
        return proceed(now: now)
    }

    /// The request, or a connection ahead of one, has come to nothing.
    package mutating func failed(_ key: DHTKey, now: NetworkInstant) -> [Action] {
        guard !isFinished, let index = candidates.index(of: key) else { return [] }
        let state = candidates.all[index].state
        guard isUnderWay(state) || state == .heard else { return [] }
        if isUnderWay(state) { failures += 1 }
        candidates.settle(index, answered: false)
        return proceed(now: now)
    }

    /// Ends it before it has arrived.
    package mutating func stop() -> [Action] { finish(hasArrived: false) }

    /// Requests sent so far.
    package var requestCount: Int { requests }

    /// Requests that lay one behind the other until that node answered; 0 for one that was not asked.
    package func rounds(to key: DHTKey) -> Int { candidates.index(of: key).map { candidates.all[$0].depth + 1 } ?? 0 }

    // MARK: Time

    package var wake: NetworkInstant? {
        guard !isFinished else { return nil }
        var next = startedAt.advanced(by: Self.timeLimit)
        for candidate in candidates.all {
            switch candidate.state {
            case .asked(let since): next = min(next, since.advanced(by: times.patience))
            case .slow(let since): next = min(next, since.advanced(by: Self.requestTimeout))
            default: continue
            }
        }
        return next
    }

    package mutating func timerFired(now: NetworkInstant) -> [Action] {
        guard !isFinished else { return [] }
        if startedAt.advanced(by: Self.timeLimit) <= now { return finish(hasArrived: false) }
        for index in candidates.all.indices {
            switch candidates.all[index].state {
            case .asked(let since) where since.advanced(by: times.patience) <= now:
                candidates.becomeSlow(index, since: since)
            case .slow(let since) where since.advanced(by: Self.requestTimeout) <= now:
                failures += 1
                candidates.settle(index, answered: false)
            default: continue
            }
        }
        return proceed(now: now)
    }

    // MARK: Inside

    private func isUnderWay(_ state: LookupCandidates.State) -> Bool {
        switch state {
        case .asked, .slow: true
        default: false
        }
    }

    private mutating func proceed(now: NetworkInstant) -> [Action] {
        var actions: [Action] = []
        while let index = nextToAsk() {
            candidates.update(index) { $0.state = .asked(now) }
            candidates.beginTry(index)
            requests += 1
            actions.append(.ask(candidates.all[index].contact))
        }
        guard !hasEnded else { return actions + finish(hasArrived: hasArrived) }
        return actions + dialAhead()
    }

    /// Who is asked now: of the path that waits for the fewest answers, then whoever is left within the scope.
    private mutating func nextToAsk() -> Int? {
        var waiting = [Int](repeating: 0, count: Self.pathCount)
        for candidate in candidates.all {
            if case .asked = candidate.state { waiting[candidate.owner ?? 0] += 1 }
        }
        candidates.holdsBack = waiting.contains { $0 > 0 }
        candidates.isWaiting = candidates.all.contains { isUnderWay($0.state) }
        guard waiting.reduce(0, +) < scope.concurrency, requests < Self.requestLimit else { return nil }
        let paths = (0..<Self.pathCount).sorted { (waiting[$0], $0) < (waiting[$1], $1) }
        for path in paths where waiting[path] < Self.pathWidth {
            if let index = next(on: path) {
                candidates.update(index) { $0.owner = path }
                return index
            }
        }
        let nearest = (0..<Self.pathCount).allSatisfy(isDone) ? scope.nearest : 0
        guard let index = nextInScope(nearest: nearest) else { return nil }
        let known = candidates.all[index].paths
        candidates.update(index) { $0.owner = (0..<Self.pathCount).first { known & 1 << UInt8($0) != 0 } ?? 0 }
        return index
    }

    /// The nearest of the path that nobody has asked, when it is one of those that have to answer.
    private mutating func next(on path: Int) -> Int? {
        while true {
            guard !hasArrived(path) else { return nil }
            var seen = 0
            for index in candidates.all.indices where candidates.all[index].isOpen(to: path) {
                switch candidates.all[index].state {
                case .heard where candidates.isHeldBack(index): continue
                case .heard: return index
                case .answered, .asked: seen += 1
                case .slow, .failed, .disbelieved: continue
                }
                if seen >= Self.pathWidth { return nil }
            }
            guard feed(path) else { return nil }
        }
    }

    /// Gives a path the next of the nodes that this one knows, when there is one.
    @discardableResult private mutating func feed(_ path: Int) -> Bool {
        guard let seed = seeds.popFirst() else { return false }
        candidates.add(seed, path: path, depth: 0, nominator: nil)
        return true
    }

    /// The paths that what was answered on one goes to: to others only where these have had nobody at all, since this node
    /// knew too few.
    private func heirs(of path: Int) -> [Int] {
        guard seeds.isEmpty else { return [path] }
        let begun = candidates.all.reduce(UInt8(0)) { $0 | $1.paths }
        return [path] + (0..<Self.pathCount).filter { begun & 1 << UInt8($0) == 0 }
    }

    /// Whether the nearest that the path has have all answered.
    private func hasArrived(_ path: Int) -> Bool {
        var answered = 0
        for candidate in candidates.all where candidate.isOpen(to: path) {
            switch candidate.state {
            case .answered: answered += 1
            case .heard, .asked: return false
            case .slow, .failed, .disbelieved: continue
            }
            if answered >= Self.resultWidth { return true }
        }
        return false
    }

    /// Whether nothing more will come of the path.
    private func isDone(_ path: Int) -> Bool {
        if hasArrived(path) { return true }
        guard seeds.isEmpty else { return false }
        return !candidates.all.contains {
            $0.isOpen(to: path) && ($0.state == .heard || $0.owner == path && isUnderWay($0.state))
        }
    }

    private func nextInScope(nearest: Int) -> Int? { nextWithinReach ?? nextOfTheNearest(nearest) }

    /// Whoever is within reach has to be asked whatever the paths find: of the branch of which the fewest have been asked, so
    /// that however many crowd round the target, those beside them have their turn.
    private var nextWithinReach: Int? {
        let branches = ReachBranches(reach: scope.reach)
        var asked = [Int](repeating: 0, count: ReachBranches.count)
        var next = [Int?](repeating: nil, count: ReachBranches.count)
        for (index, candidate) in candidates.all.enumerated() {
            guard candidate.distance < scope.reach else { break }
            let branch = branches.index(of: candidate.distance)
            switch candidate.state {
            case .heard where candidates.isHeldBack(index): continue
            case .heard: next[branch] = next[branch] ?? index
            case .answered, .asked, .slow, .failed: asked[branch] += 1
            case .disbelieved: continue
            }
        }
        return next.indices.filter { next[$0] != nil }.min { asked[$0] < asked[$1] }.flatMap { next[$0] }
    }

    /// Which are the nearest is known once the paths have ended.
    private func nextOfTheNearest(_ nearest: Int) -> Int? {
        var live = 0
        for (index, candidate) in candidates.all.enumerated() {
            guard live < nearest else { return nil }
            switch candidate.state {
            case .heard where candidates.isHeldBack(index): live += 1
            case .heard: return index
            case .answered, .asked: live += 1
            case .slow, .failed, .disbelieved: continue
            }
        }
        return nil
    }

    /// Whether somebody within the scope is still to be asked or heard.
    private var isScopeOpen: Bool {
        var live = 0
        for candidate in candidates.all {
            guard live < scope.nearest || candidate.distance < scope.reach else { return false }
            switch candidate.state {
            case .heard, .asked: return true
            case .answered: live += 1
            case .slow, .failed, .disbelieved: continue
            }
        }
        return false
    }

    private var hasArrived: Bool { (0..<Self.pathCount).allSatisfy(isDone) && !isScopeOpen }

    private var hasEnded: Bool {
        if hasArrived { return true }
        return requests >= Self.requestLimit && !candidates.all.contains { isUnderWay($0.state) }
    }

    /// Connects to those that each path is likely to ask next.
    private mutating func dialAhead() -> [Action] {
        var actions: [Action] = []
        var unused = candidates.all.count { $0.isDialled && $0.state == .heard }
        for index in candidates.all.indices {
            guard unused < Self.dialsAhead, dials < Self.dialLimit else { break }
            guard candidates.all[index].state == .heard, !candidates.all[index].isDialled,
                !candidates.isHeldBack(index)
            else { continue }
            candidates.update(index) { $0.isDialled = true }
            candidates.beginTry(index)
            (unused, dials) = (unused + 1, dials + 1)
            actions.append(.dial(candidates.all[index].contact))
        }
        return actions
    }

    private mutating func finish(hasArrived: Bool) -> [Action] {
        guard !isFinished else { return [] }
        isFinished = true
        let answered = candidates.all.filter { $0.state == .answered }
        let rounds = answered.prefix(Self.resultWidth).map { $0.depth + 1 }.max() ?? 0
        return [
            .finished(
                Outcome(
                    closest: answered.map(\.contact), requests: requests, failures: failures, rounds: rounds,
                    hasArrived: hasArrived))
        ]
    }

    /// What of an answer is looked at: no more than ``answerLimit``, and nobody of a subnet that has too large a share.
    static func diverse(_ contacts: [DHTContact]) -> [DHTContact] {
        let contacts = contacts.prefix(answerLimit)
        var counts: [Subject: Int] = [:]
        for subnet in contacts.flatMap(\.subnets) { counts.increment(subnet) }
        return contacts.filter { $0.subnets.allSatisfy { counts[$0, default: 0] <= perSubnet } }
    }
}
