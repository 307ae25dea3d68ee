package import DeP2PReactor

/// Stores this node's records again before they are over, one region of the key space after the other: pure.
///
/// A region is a prefix that at least k nodes have in common, so all that hold its records are in it: one lookup finds them
/// for every key there, however many there are.
///
/// Calling order: ``add(_:now:)`` once a record has been stored, ``remove(_:)``; ``setRegionBits(_:)`` as the network's size
/// becomes known; ``published(_:now:)`` for each ``Action/publish(_:)``.
package struct RepublishMachine: TimedMachine, Sendable {
    /// Each record is stored anew so often: a third of what it lives.
    package static let interval: Duration = .seconds(3_600)
    /// Regions under way at once.
    package static let regionsAtOnce = 2
    /// Keys of this node.
    package static let keyLimit = 16_384

    package struct Region: Hashable, Sendable {
        /// The bits that its keys have in common, and zeros.
        package let prefix: DHTKey
        package let bits: Int
        /// In order.
        package let keys: [DHTKey]

        /// Everybody in the region, for a lookup of any key in it.
        package var scope: LookupMachine.Scope {
            let reach: XORDistance = bits == 0 ? .greatest : .bit(bits - 1)
            return LookupMachine.Scope(reach: reach, nearest: DHT.replication)
        }
    }

    package enum Action: Equatable, Sendable {
        case publish(Region)
    }

    private struct Schedule {
        var keys: Set<DHTKey> = []
        var dueAt: NetworkInstant
        var isUnderWay = false
    }

    private var regions: [DHTKey: Schedule] = [:]
    private var bits = 0
    package private(set) var count = 0

    package init() {}

    /// - Returns: whether there was room for it.
    package mutating func add(_ key: DHTKey, now: NetworkInstant) -> Bool {
        let prefix = key.prefix(bits)
        if regions[prefix]?.keys.contains(key) == true { return true }
        guard count < Self.keyLimit else { return false }
        regions[prefix, default: Schedule(dueAt: now.advanced(by: Self.interval))].keys.insert(key)
        count += 1
        return true
    }

    package mutating func remove(_ key: DHTKey) {
        let prefix = key.prefix(bits)
        guard regions[prefix]?.keys.remove(key) != nil else { return }
        count -= 1
        if regions[prefix]?.keys.isEmpty == true { regions[prefix] = nil }
    }

    /// Regions of another size: each key keeps its time or gets an earlier one.
    package mutating func setRegionBits(_ bits: Int) {
        guard bits != self.bits else { return }
        let old = regions
        regions = [:]
        self.bits = bits
        for schedule in old.values {
            for key in schedule.keys {
                var joined = regions[key.prefix(bits)] ?? Schedule(dueAt: schedule.dueAt)
                joined.dueAt = min(joined.dueAt, schedule.dueAt)
                joined.keys.insert(key)
                regions[key.prefix(bits)] = joined
            }
        }
    }

    package var wake: NetworkInstant? {
        guard underWay < Self.regionsAtOnce else { return nil }
        return regions.values.filter { !$0.isUnderWay }.map(\.dueAt).min()
    }

    package mutating func timerFired(now: NetworkInstant) -> [Action] {
        var actions: [Action] = []
        let due = regions.filter { !$0.value.isUnderWay && $0.value.dueAt <= now }.sorted {
            ($0.value.dueAt, $0.key) < ($1.value.dueAt, $1.key)
        }
        for (prefix, schedule) in due.prefix(max(Self.regionsAtOnce - underWay, 0)) {
            regions[prefix]?.isUnderWay = true
            actions.append(.publish(Region(prefix: prefix, bits: bits, keys: schedule.keys.sorted())))
        }
        return actions
    }

    /// A region is done, however it went: what failed is stored the next time.
    package mutating func published(_ region: Region, now: NetworkInstant) -> [Action] {
        if region.bits == bits, regions[region.prefix] != nil {
            regions[region.prefix]?.isUnderWay = false
            regions[region.prefix]?.dueAt = now.advanced(by: Self.interval)
        }
        return timerFired(now: now)
    }

    private var underWay: Int { regions.values.count { $0.isUnderWay } }
}
