package import DeP2PReactor

/// Whom this node knows in the DHT, by the distance from its own key (Kademlia, section 2.2): pure.
///
/// A node enters after it has answered, and an old one that answers is never displaced by a new one. Which nodes could
/// be entered but have not answered yet is said by ``Action/check(_:)``; who carries that out asks the node for its closest
/// ones and tells the end of it, as that of every other request, by ``answered(_:subnet:now:)`` or ``failed(_:)``.
/// Entries that have not been heard from for ``checkInterval`` are checked too, one after the other.
///
/// Calling order: any event as it happens; see ``TimedMachine``. It is at most ``DHTKey/bitCount`` times
/// ``Bucket/capacity`` entries large, and about twenty for each doubling of the network.
package struct RoutingTable: TimedMachine, Sendable {
    /// Entries of one subnet in the whole table.
    package static let perSubnet = 10
    /// An entry that was silent for this long is checked.
    package static let checkInterval: Duration = .seconds(600)
    /// Between two checks of entries, so that they do not come in bursts.
    package static let checkSpacing: Duration = .seconds(1)
    /// Checks of entries and newcomers under way; further newcomers come again.
    package static let checkLimit = 8
    /// An entry that failed as often in a row leaves, also when nobody waits for its place.
    package static let failureLimit = 3
    /// With so many failures in a row and no answer between them it is this node that has no network: nobody leaves.
    package static let outageThreshold = 16
    /// A bucket in which nobody has looked for anything for this long is refreshed.
    package static let refreshInterval: Duration = .seconds(3_600)
    /// The same for one that is less than half full, and for this node's own surroundings.
    package static let sparseRefreshInterval: Duration = .seconds(600)
    /// Between two refreshes.
    package static let refreshSpacing: Duration = .seconds(5)
    /// Buckets beyond this one are reached by the refresh of the own surroundings: 2^24 nodes are more than there are.
    package static let refreshDepth = 24

    package enum Action: Equatable, Sendable {
        /// Ask it whether it is there.
        case check(DHTContact)
        /// Look up a key of that bucket (``target(inBucket:using:)``), or the own key.
        case refresh(bucket: Int?)
    }

    package let localKey: DHTKey
    private var buckets: [Bucket] = []
    /// Entries of each subnet.
    private var subnets: [Subject: Int] = [:]
    package private(set) var count = 0
    private var checksUnderWay = 0
    private var failuresInARow = 0
    private var surroundingsLookedUpAt: NetworkInstant?
    private var nextCheck = NetworkInstant.distantFuture
    private var nextRefresh = NetworkInstant.distantFuture
    /// Two refreshes are ``refreshSpacing`` apart.
    private var noRefreshBefore = NetworkInstant(nanoseconds: 0)

    package init(localKey: DHTKey) { self.localKey = localKey }

    // MARK: Events

    /// A node that serves the DHT has shown itself, without having been asked: it connected, or asked something.
    package mutating func heard(of contact: DHTContact, subnet: Subject?) -> [Action] {
        guard let index = bucketIndex(of: contact.key), buckets[index].index(of: contact.key) == nil else {
            return []
        }
        buckets[index].wait(contact, subnet: subnet)
        return checkReplacement(in: index)
    }

    /// A node has answered a request of any kind from an address in `subnet`.
    package mutating func answered(_ contact: DHTContact, subnet: Subject?, now: NetworkInstant) -> [Action] {
        failuresInARow = 0
        guard let index = bucketIndex(of: contact.key) else { return [] }
        endCheck(of: contact.key, in: index)
        if let place = buckets[index].index(of: contact.key) {
            guard move(place, in: index, to: subnet) else { return [] }
            buckets[index].update(place) { entry in
                entry.contact = contact
                entry.answeredAt = now
                entry.failures = 0
            }
            return []
        }
        makeRoom(in: index)
        if buckets[index].hasRoom(for: contact.key, in: subnet), tableAdmits(subnet) {
            insert(Bucket.Entry(contact: contact, subnet: subnet, answeredAt: now), in: index)
        } else {
            buckets[index].wait(contact, subnet: subnet)
        }
        return []
    }

    /// A node has not answered a request.
    package mutating func failed(_ key: DHTKey) -> [Action] {
        guard let index = existingBucket(of: key) else { return [] }
        endCheck(of: key, in: index)
        buckets[index].forgetReplacement(key)
        if let place = buckets[index].index(of: key) {
            failuresInARow += 1
            guard failuresInARow < Self.outageThreshold else { return [] }
            buckets[index].update(place) { $0.failures += 1 }
            let isReplaceable = buckets[index].replacements.contains { !$0.isBeingChecked }
            if buckets[index].entries[place].failures >= Self.failureLimit || buckets[index].isFull && isReplaceable {
                remove(place, in: index)
            }
        }
        return checkReplacement(in: index)
    }

    /// Somebody has looked up that key from here, so its bucket needs no refresh.
    package mutating func lookedUp(_ key: DHTKey, now: NetworkInstant) {
        if let index = existingBucket(of: key) { buckets[index].lookedUpAt = now }
        if key == localKey { surroundingsLookedUpAt = now }
    }

    // MARK: Time

    package var wake: NetworkInstant? {
        let next = min(nextCheck, nextRefresh)
        return next == .distantFuture ? nil : next
    }

    package mutating func timerFired(now: NetworkInstant) -> [Action] {
        var actions: [Action] = []
        if nextCheck <= now { actions += checkOldest(now: now) }
        if nextRefresh <= now { actions += refreshOne(now: now) }
        return actions
    }

    private mutating func checkOldest(now: NetworkInstant) -> [Action] {
        var oldest: (bucket: Int, place: Int, at: NetworkInstant)?
        for bucket in buckets.indices {
            guard let (place, at) = buckets[bucket].oldest else { continue }
            if oldest.map({ at < $0.at }) ?? true { oldest = (bucket, place, at) }
        }
        guard let oldest else {
            nextCheck = .distantFuture
            return []
        }
        let due = oldest.at.advanced(by: Self.checkInterval)
        guard due <= now else {
            nextCheck = due
            return []
        }
        nextCheck = now.advanced(by: Self.checkSpacing)
        guard checksUnderWay < Self.checkLimit else { return [] }
        checksUnderWay += 1
        buckets[oldest.bucket].update(oldest.place) { $0.isBeingChecked = true }
        return [.check(buckets[oldest.bucket].entries[oldest.place].contact)]
    }

    /// The own surroundings first: what they hold is what this node is asked for, and they say where the table ends.
    private mutating func refreshOne(now: NetworkInstant) -> [Action] {
        noRefreshBefore = now.advanced(by: Self.refreshSpacing)
        var actions: [Action] = []
        if surroundingsRefresh <= now {
            surroundingsLookedUpAt = now
            actions = [.refresh(bucket: nil)]
        } else if let due = buckets.indices.prefix(Self.refreshDepth).first(where: { refreshTime(of: $0) <= now }) {
            buckets[due].lookedUpAt = now
            actions = [.refresh(bucket: due)]
        }
        let soonest = buckets.indices.prefix(Self.refreshDepth).map(refreshTime(of:)).min() ?? .distantFuture
        nextRefresh = max(noRefreshBefore, min(soonest, surroundingsRefresh))
        return actions
    }

    private var surroundingsRefresh: NetworkInstant {
        guard count > 0 else { return .distantFuture }
        return surroundingsLookedUpAt?.advanced(by: Self.sparseRefreshInterval) ?? NetworkInstant(nanoseconds: 0)
    }

    /// Beyond the last bucket with anybody in it there is nobody else to find, which the own surroundings show.
    private func refreshTime(of index: Int) -> NetworkInstant {
        guard buckets[index...].contains(where: { !$0.entries.isEmpty }) else { return .distantFuture }
        guard let lookedUpAt = buckets[index].lookedUpAt else { return NetworkInstant(nanoseconds: 0) }
        let isSparse = buckets[index].entries.count < Bucket.capacity / 2
        return lookedUpAt.advanced(by: isSparse ? Self.sparseRefreshInterval : Self.refreshInterval)
    }

    // MARK: Questions

    /// The contacts nearest to `target`, the nearest first. One that failed last is told only where others are too few.
    package func closest(to target: DHTKey, count wanted: Int = DHT.replication) -> [DHTContact] {
        let healthy = closest(to: target, count: wanted) { $0.failures == 0 }
        guard healthy.count < wanted else { return healthy }
        return closest(to: target, count: wanted) { _ in true }
    }

    /// Those of the bucket in which the target lies share more bits with it than all others; those of the buckets beyond
    /// exactly as many as this node does; each bucket before less than the one after it.
    private func closest(to target: DHTKey, count wanted: Int, where isWanted: (Bucket.Entry) -> Bool) -> [DHTContact] {
        let index = min(localKey.commonPrefixLength(with: target), buckets.count)
        var found: [DHTContact] = []
        func take(_ range: Range<Int>) {
            guard found.count < wanted else { return }
            var near: [(bucket: Int, place: Int, distance: XORDistance)] = []
            for bucket in range {
                for place in buckets[bucket].entries.indices where isWanted(buckets[bucket].entries[place]) {
                    let key = buckets[bucket].entries[place].contact.key
                    near.append((bucket, place, key.distance(to: target)))
                }
            }
            near.sort { $0.distance < $1.distance }
            found += near.prefix(wanted - found.count).map { buckets[$0.bucket].entries[$0.place].contact }
        }
        if index < buckets.count { take(index..<index + 1) }
        if index + 1 < buckets.count { take(index + 1..<buckets.count) }
        for nearer in stride(from: index - 1, through: 0, by: -1) { take(nearer..<nearer + 1) }
        return found
    }

    package func contains(_ key: DHTKey) -> Bool {
        existingBucket(of: key).map { buckets[$0].index(of: key) != nil } ?? false
    }

    /// Every entry, those of the farthest bucket first.
    package var contacts: [DHTContact] { buckets.flatMap { $0.entries.map(\.contact) } }

    /// Entries of each bucket, by the length of the prefix in common.
    package var bucketCounts: [Int] { buckets.map(\.entries.count) }

    /// A random key that a refresh of that bucket looks up.
    package func target(inBucket index: Int, using random: inout some RandomNumberGenerator) -> DHTKey {
        localKey.random(sharing: min(max(index, 0), DHTKey.bitCount - 1), using: &random)
    }

    // MARK: Inside

    private mutating func bucketIndex(of key: DHTKey) -> Int? {
        let length = localKey.commonPrefixLength(with: key)
        guard length < DHTKey.bitCount else { return nil }
        while buckets.count <= length { buckets.append(Bucket(depth: buckets.count)) }
        return length
    }

    private func existingBucket(of key: DHTKey) -> Int? {
        let length = localKey.commonPrefixLength(with: key)
        return length < buckets.count ? length : nil
    }

    private func tableAdmits(_ subnet: Subject?) -> Bool {
        subnet.map { subnets[$0, default: 0] < Self.perSubnet } ?? true
    }

    private mutating func checkReplacement(in index: Int) -> [Action] {
        guard checksUnderWay < Self.checkLimit, let contact = buckets[index].nextReplacement(where: tableAdmits) else {
            return []
        }
        checksUnderWay += 1
        return [.check(contact)]
    }

    private mutating func endCheck(of key: DHTKey, in index: Int) {
        if let place = buckets[index].index(of: key), buckets[index].entries[place].isBeingChecked {
            checksUnderWay -= 1
            buckets[index].update(place) { $0.isBeingChecked = false }
        } else if buckets[index].replacements.contains(where: { $0.contact.key == key && $0.isBeingChecked }) {
            checksUnderWay -= 1
            buckets[index].forgetReplacement(key)
        }
    }

    /// One that failed last gives way to one that has answered just now.
    private mutating func makeRoom(in index: Int) {
        guard buckets[index].isFull, let place = buckets[index].entries.firstIndex(where: { $0.failures > 0 }) else {
            return
        }
        remove(place, in: index)
    }

    private mutating func remove(_ place: Int, in index: Int) {
        let entry = buckets[index].remove(place)
        count -= 1
        if entry.isBeingChecked { checksUnderWay -= 1 }
        if let subnet = entry.subnet { subnets.decrement(subnet) }
    }

    private mutating func insert(_ entry: Bucket.Entry, in index: Int) {
        buckets[index].insert(entry)
        count += 1
        if let subnet = entry.subnet { subnets.increment(subnet) }
        nextCheck = min(nextCheck, entry.answeredAt.advanced(by: Self.checkInterval))
        let isNew = buckets[index].lookedUpAt == nil && index < Self.refreshDepth
        if isNew || nextRefresh == .distantFuture { nextRefresh = max(noRefreshBefore, entry.answeredAt) }
    }

    /// An entry that answers from elsewhere counts there, or leaves where there is no room for it: whether it is still in.
    private mutating func move(_ place: Int, in index: Int, to subnet: Subject?) -> Bool {
        let old = buckets[index].entries[place].subnet
        guard old != subnet else { return true }
        guard buckets[index].admits(subnet), tableAdmits(subnet) else {
            remove(place, in: index)
            return false
        }
        if let old { subnets.decrement(old) }
        if let subnet { subnets.increment(subnet) }
        buckets[index].update(place) { $0.subnet = subnet }
        return true
    }
}
