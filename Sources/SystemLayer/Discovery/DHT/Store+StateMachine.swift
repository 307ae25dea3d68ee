package import DeP2PReactor

/// Puts one record with many nodes at once, and says when most have it: pure.
///
/// Calling order: ``start(now:)``; ``stored(_:now:)`` or ``failed(_:now:)`` for each request, as they come.
/// ``Action/placed(_:)`` comes once, when ``placedShare`` of them have it: who waits need wait no longer.
/// ``Action/finished(_:)`` is the last.
package struct StoreMachine: TimedMachine, Sendable {
    /// The part of the nodes that suffices: the rest is slow, or gone.
    package static let placedShare = 0.75
    /// Nodes that one record is put with; within a reach that holds more, those are drawn.
    package static let targetLimit = 80
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

    private var targets: [(contact: DHTContact, state: State)]
    private var isPlaced = false
    package private(set) var isFinished = false

    /// - Parameter targets: those of ``targets(of:key:reach:using:)``.
    package init(targets: [DHTContact]) {
        self.targets = targets.prefix(Self.targetLimit).map { ($0, .waiting) }
    }

    /// Whom a record is stored with: everybody found within the reach of its key, so that a few nodes that have placed
    /// themselves next to it are not all that hold it, and no fewer than k.
    ///
    /// - Parameter answered: those that a lookup of the key has found and that answered, the nearest first.
    package static func targets(
        of answered: [DHTContact], key: DHTKey, reach: XORDistance?, using random: inout some RandomNumberGenerator
    ) -> [DHTContact] {
        let reach = reach ?? .zero
        let within = answered.prefix { $0.key.distance(to: key) < reach }
        guard within.count > targetLimit else { return Array(answered.prefix(max(within.count, DHT.replication))) }
        return Array(within.shuffled(using: &random).prefix(targetLimit))
    }

    // MARK: Events

    package mutating func start(now: NetworkInstant) -> [Action] { proceed(now: now) }

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
        for index in targets.indices where targets[index].state == .waiting && underWay < DHT.concurrency {
            targets[index].state = .asked(now)
            underWay += 1
            actions.append(.put(targets[index].contact))
        }
        let stored = targets.count { $0.state == .stored }
        if !isPlaced, stored > 0, Double(stored) >= Double(targets.count) * Self.placedShare {
            isPlaced = true
            actions.append(.placed(stored))
        }
        let failed = targets.count { $0.state == .failed }
        if stored + failed == targets.count {
            isFinished = true
            actions.append(.finished(Outcome(stored: stored, failed: failed)))
        }
        return actions
    }
}
