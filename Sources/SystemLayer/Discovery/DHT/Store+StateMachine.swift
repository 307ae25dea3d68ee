package import DeP2PReactor

/// Puts one record with everybody found within the reach of its key, and says when most have it: pure. So a few nodes that have
/// placed themselves next to the key are not all that hold it; and no fewer than k hold it.
///
/// Calling order: ``found(_:now:)`` for each node that has answered while the key is looked up, ``lookedUp(_:now:)`` when that
/// has ended; ``stored(_:now:)`` or ``failed(_:now:)`` for each request, as they come. ``Action/placed(_:)`` comes once, when
/// ``placedShare`` of them have it: who waits need wait no longer. ``Action/finished(_:)`` is the last.
package struct StoreMachine: TimedMachine, Sendable {
    /// The part of the nodes that suffices, twelve of twenty; the rest is slow, or gone, and is put with all the same.
    package static let placedShare = 0.6
    /// Nodes that a record is put with; of more within reach, as many from each of ``ReachBranches`` as from the others.
    package static let targetLimit = 80
    /// Nodes that it is put with while the lookup still runs: those within its reach that answer first.
    package static let earlyLimit = DHT.replication
    /// Requests under way at once.
    package static let concurrency = DHT.replication
    /// As for a lookup's requests.
    package static let patience = LookupMachine.patience
    package static let requestTimeout = LookupMachine.requestTimeout

    package struct Outcome: Equatable, Sendable {
        package let stored: Int
        package let failed: Int
    }

    package enum Action: Equatable, Sendable {
        case put(DHTContact)
        case placed(Int)
        case finished(Outcome)
    }

    private enum State: Equatable, Sendable {
        case waiting
        case asked(NetworkInstant)
        case slow(NetworkInstant)
        case stored
        case failed
    }

    private var targets: [(contact: DHTContact, state: State)] = []
    private var isComplete = false
    private var isPlaced = false
    package private(set) var isFinished = false

    private let key: DHTKey
    private let reach: XORDistance

    /// - Parameter reach: ``NetworkSize/reach``; where it is not known yet, the k nearest are all that it is put with.
    package init(key: DHTKey, reach: XORDistance?) { (self.key, self.reach) = (key, reach ?? .zero) }

    // MARK: Events

    /// One that answered the lookup, which still runs. Up to ``earlyLimit`` of those within reach are put with at once, and of
    /// each branch no more than its share.
    package mutating func found(_ contact: DHTContact, now: NetworkInstant) -> [Action] {
        guard !isComplete, isWithinReach(contact), targets.count < Self.earlyLimit, !isTarget(contact) else {
            return []
        }
        let branch = branch(of: contact)
        guard targets.count(where: { self.branch(of: $0.contact) == branch }) < ReachBranches.share(of: branch) else {
            return []
        }
        targets.append((contact, .waiting))
        return proceed(now: now)
    }

    /// - Parameter closest: all that have answered, in any order: one lookup may serve the keys of a whole region.
    package mutating func lookedUp(_ closest: [DHTContact], now: NetworkInstant) -> [Action] {
        guard !isComplete else { return [] }
        isComplete = true
        let wanted = Self.targets(of: closest, key: key, reach: reach)
        for contact in wanted where targets.count < Self.targetLimit && !isTarget(contact) {
            targets.append((contact, .waiting))
        }
        return proceed(now: now)
    }

    /// Whom a record is put with: all within reach, of too many some of each branch, and no fewer than the k nearest.
    ///
    /// - Parameter closest: all that have answered, in any order.
    package static func targets(of closest: [DHTContact], key: DHTKey, reach: XORDistance?) -> [DHTContact] {
        let reach = reach ?? .zero
        let sorted = closest.map { ($0, $0.key.distance(to: key)) }.sorted { $0.1 < $1.1 }
        let within = sorted.prefix { $0.1 < reach }
        guard within.count >= DHT.replication else { return sorted.prefix(DHT.replication).map(\.0) }
        return Array(inTurns(Array(within), ReachBranches(reach: reach)).prefix(targetLimit))
    }

    private func isWithinReach(_ contact: DHTContact) -> Bool { contact.key.distance(to: key) < reach }

    private func branch(of contact: DHTContact) -> Int {
        ReachBranches(reach: reach).index(of: contact.key.distance(to: key))
    }

    private func isTarget(_ contact: DHTContact) -> Bool { targets.contains { $0.contact == contact } }

    /// One of each branch, then another one of each.
    private static func inTurns(
        _ contacts: [(DHTContact, XORDistance)], _ branches: ReachBranches
    ) -> [DHTContact] {
        var turns = [Int](repeating: 0, count: ReachBranches.count)
        let numbered = contacts.map { contact, distance in
            let branch = branches.index(of: distance)
            turns[branch] += 1
            return (contact: contact, turn: turns[branch], branch: branch)
        }
        return numbered.sorted { ($0.turn, $0.branch) < ($1.turn, $1.branch) }.map(\.contact)
    }

    package mutating func stored(_ key: DHTKey, now: NetworkInstant) -> [Action] {
        settle(key, .stored)
        return proceed(now: now)
    }

    package mutating func failed(_ key: DHTKey, now: NetworkInstant) -> [Action] {
        settle(key, .failed)
        return proceed(now: now)
    }

    private mutating func settle(_ key: DHTKey, _ state: State) {
        for index in targets.indices where targets[index].contact.key == key {
            switch targets[index].state {
            case .asked, .slow: targets[index].state = state
            case .waiting, .stored, .failed: continue
            }
        }
    }

    // MARK: Time

    package var wake: NetworkInstant? {
        targets.compactMap { target in
            switch target.state {
            case .asked(let since): since.advanced(by: Self.patience)
            case .slow(let since): since.advanced(by: Self.requestTimeout)
            case .waiting, .stored, .failed: nil
            }
        }.min()
    }

    package mutating func timerFired(now: NetworkInstant) -> [Action] {
        for index in targets.indices {
            switch targets[index].state {
            case .asked(let since) where since.advanced(by: Self.patience) <= now: targets[index].state = .slow(since)
            case .slow(let since) where since.advanced(by: Self.requestTimeout) <= now: targets[index].state = .failed
            default: continue
            }
        }
        return proceed(now: now)
    }

    private mutating func proceed(now: NetworkInstant) -> [Action] {
        guard !isFinished else { return [] }
        var actions: [Action] = []
        var underWay = targets.count { if case .asked = $0.state { true } else { false } }
        for index in targets.indices where targets[index].state == .waiting && underWay < Self.concurrency {
            targets[index].state = .asked(now)
            underWay += 1
            actions.append(.put(targets[index].contact))
        }
        let stored = targets.count { $0.state == .stored }
        let wanted = isComplete ? targets.count : max(targets.count, DHT.replication)
        if !isPlaced, stored > 0, Double(stored) >= Double(wanted) * Self.placedShare {
            isPlaced = true
            actions.append(.placed(stored))
        }
        let failed = targets.count { $0.state == .failed }
        if isComplete, stored + failed == targets.count {
            isFinished = true
            actions.append(.finished(Outcome(stored: stored, failed: failed)))
        }
        return actions
    }
}
