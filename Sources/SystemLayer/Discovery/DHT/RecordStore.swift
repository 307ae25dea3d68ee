package import DeP2PIdentity
package import DeP2PReactor

/// What this node keeps for others: pure, and bounded whoever stores what.
///
/// An item is stored under its key, at most one a key; providers, several a key. Each counts against the node that stored it
/// last and against that node's subnet; where another puts the same item again, against the one whose subnet has stored less,
/// so that nobody can have an item give way by counting it as his own. Where there is no room the subnet that has stored the most gives way, with the record
/// farthest from this node's key: what is near is what this node is asked for.
///
/// Calling order: any; ``timerFired(now:)`` when ``wake`` has come, which only frees room: what is over is not told before
/// that either.
package struct RecordStore: TimedMachine, Sendable {
    /// Items and providers kept: about 20 MiB when each item has a kilobyte.
    package static let limit = 16_384
    /// Providers of one key.
    package static let providersPerKey = 32
    /// Of these, in one subnet.
    package static let providersPerKeyAndSubnet = 2
    /// Records of one node that stores them, and of one subnet.
    package static let perPublisher = 256
    package static let perSubnet = 1_024
    /// A record is good for this long after it was last stored.
    package static let lifetime: Duration = .seconds(3 * 3_600)
    /// Records farther away than so many times the reach of a key are somebody else's to keep: the estimate of the network's
    /// size may be wrong by that.
    static let reachSlack = 16.0
    /// How often what is over is looked for.
    static let sweepInterval: Duration = .seconds(300)

    /// Who stores something, and where it was seen.
    package struct Publisher: Hashable, Sendable {
        package let nodeID: NodeID
        package let subnet: Subject

        package init(_ nodeID: NodeID, subnet: Subject) { (self.nodeID, self.subnet) = (nodeID, subnet) }
    }

    private struct Kept<Content: Sendable>: Sendable {
        let content: Content
        let publisher: Publisher
        let expires: NetworkInstant
    }

    private struct Slot: Sendable {
        var item: Kept<MutableItem>?
        var providers: [Kept<DHTContact>] = []

        var count: Int { providers.count + (item == nil ? 0 : 1) }
    }

    private let localKey: DHTKey
    private var slots: [DHTKey: Slot] = [:]
    private var publishers: [NodeID: Int] = [:]
    private var shares = StoredShares()
    package private(set) var count = 0
    package private(set) var wake: NetworkInstant?

    package init(localKey: DHTKey) { self.localKey = localKey }

    // MARK: Storing

    /// - Parameter reach: how far from a key its records lie, where that is known (``NetworkSize/reach``).
    package mutating func store(
        _ item: MutableItem, from publisher: Publisher, reach: XORDistance?, now: NetworkInstant
    ) throws(RecordRefusal) {
        let key = item.key
        let old = slots[key]?.item
        if let old, old.expires > now, !item.replaces(old.content) { throw .staleSequence }
        let keeper = keeper(of: item, putAgainBy: publisher, old, now: now)
        // Limits before the signature: a flood is refused at the least cost.
        try admit(keeper, replacing: old?.publisher, key: key, reach: reach)
        guard item.isSigned else { throw .badSignature }
        if let old { release(old.publisher, key) } else { try makeRoom(for: key, from: keeper) }
        slots[key, default: Slot()].item = Kept(
            content: item, publisher: keeper, expires: now.advanced(by: Self.lifetime))
        take(keeper, key, now: now)
    }

    /// A node says that it provides what that key stands for.
    ///
    /// - Parameter provider: the publisher itself, with its addresses: nobody speaks for another.
    package mutating func store(
        provider: DHTContact, of key: DHTKey, from publisher: Publisher, reach: XORDistance?, now: NetworkInstant
    ) throws(RecordRefusal) {
        guard provider.nodeID == publisher.nodeID else { throw .malformed }
        let known = slots[key]?.providers ?? []
        let old = known.first { $0.publisher.nodeID == publisher.nodeID }
        let others = known.filter { $0.publisher.nodeID != publisher.nodeID && $0.expires > now }
        guard others.count < Self.providersPerKey,
            others.count(where: { $0.publisher.subnet == publisher.subnet }) < Self.providersPerKeyAndSubnet
        else { throw .keyIsFull }
        try admit(publisher, replacing: old?.publisher, key: key, reach: reach)
        forget(in: key) { $0.expires <= now || $0.publisher.nodeID == publisher.nodeID }
        try makeRoom(for: key, from: publisher)
        slots[key, default: Slot()].providers.append(
            Kept(content: provider, publisher: publisher, expires: now.advanced(by: Self.lifetime)))
        take(publisher, key, now: now)
    }

    /// An item that an earlier run has kept, for what is left of its time. It makes room for nothing: whatever has been stored
    /// since counts more. Whoever gives it has looked at its signature.
    mutating func restore(_ item: MutableItem, from publisher: Publisher, left: Duration, now: NetworkInstant) {
        let key = item.key
        guard slots[key]?.item == nil, left > .zero, count < Self.limit,
            // What is beyond somebody's share is left out.
            (try? admit(publisher, replacing: nil, key: key, reach: nil)) != nil
        else { return }
        let expires = now.advanced(by: min(left, Self.lifetime))
        slots[key, default: Slot()].item = Kept(content: item, publisher: publisher, expires: expires)
        take(publisher, key, now: now)
    }

    /// Whom the item of that key counts against.
    func publisher(ofItem key: DHTKey) -> Publisher? { slots[key]?.item?.publisher }

    /// Whom the item counts against.
    private func keeper(
        of item: MutableItem, putAgainBy publisher: Publisher, _ old: Kept<MutableItem>?, now: NetworkInstant
    ) -> Publisher {
        guard let old, old.expires > now, old.content == item,
            shares.count(old.publisher.subnet) - 1 <= shares.count(publisher.subnet)
        else { return publisher }
        return old.publisher
    }

    private func admit(
        _ publisher: Publisher, replacing old: Publisher?, key: DHTKey, reach: XORDistance?
    ) throws(RecordRefusal) {
        if let reach, localKey.distance(to: key).fraction > reach.fraction * Self.reachSlack { throw .tooFar }
        let ofPublisher = publishers[publisher.nodeID, default: 0] - (old?.nodeID == publisher.nodeID ? 1 : 0)
        guard ofPublisher < Self.perPublisher else { throw .publisherIsFull }
        let ofSubnet = shares.count(publisher.subnet) - (old?.subnet == publisher.subnet ? 1 : 0)
        guard ofSubnet < Self.perSubnet else { throw .subnetIsFull }
    }

    /// Of the subnet that has stored the most the record farthest from here gives way, to one of a subnet that has less, or
    /// as much and a nearer one: who floods the store displaces himself.
    private mutating func makeRoom(for key: DHTKey, from publisher: Publisher) throws(RecordRefusal) {
        guard count >= Self.limit else { return }
        let asked = StoredShares.Claim(
            share: shares.count(publisher.subnet) + 1, distance: key.distance(to: localKey))
        guard let largest = shares.largest(), asked < largest.claim else { throw .storeIsFull }
        remove(of: largest.subnet, in: DHTKey(bits: localKey.bits ^ largest.claim.distance))
    }

    /// One record of that subnet's.
    private mutating func remove(of subnet: Subject, in key: DHTKey) {
        if let provider = slots[key]?.providers.first(where: { $0.publisher.subnet == subnet }) {
            forget(in: key) { $0.publisher == provider.publisher }
        } else if let item = slots[key]?.item, item.publisher.subnet == subnet {
            slots[key]?.item = nil
            release(item.publisher, key)
        }
        if slots[key]?.count == 0 { slots[key] = nil }
    }

    // MARK: Reading

    package func item(for key: DHTKey, now: NetworkInstant) -> MutableItem? {
        slots[key]?.item.flatMap { $0.expires > now ? $0.content : nil }
    }

    /// The one that was stored last first.
    package func providers(of key: DHTKey, now: NetworkInstant) -> [DHTContact] {
        (slots[key]?.providers ?? []).reversed().filter { $0.expires > now }.map(\.content)
    }

    // MARK: Time

    package mutating func timerFired(now: NetworkInstant) -> [Never] {
        guard let wake, wake <= now else { return [] }
        for key in Array(slots.keys) {
            if let item = slots[key]?.item, item.expires <= now {
                slots[key]?.item = nil
                release(item.publisher, key)
            }
            forget(in: key) { $0.expires <= now }
            if slots[key]?.count == 0 { slots[key] = nil }
        }
        self.wake = count > 0 ? now.advanced(by: Self.sweepInterval) : nil
        return []
    }

    // MARK: Counting

    private mutating func forget(in key: DHTKey, where isOver: (Kept<DHTContact>) -> Bool) {
        guard let providers = slots[key]?.providers else { return }
        for provider in providers where isOver(provider) { release(provider.publisher, key) }
        slots[key]?.providers.removeAll(where: isOver)
    }

    private mutating func take(_ publisher: Publisher, _ key: DHTKey, now: NetworkInstant) {
        count += 1
        publishers.increment(publisher.nodeID)
        shares.add(key.distance(to: localKey), of: publisher.subnet)
        wake = wake ?? now.advanced(by: Self.sweepInterval)
    }

    private mutating func release(_ publisher: Publisher, _ key: DHTKey) {
        count -= 1
        publishers.decrement(publisher.nodeID)
        shares.remove(key.distance(to: localKey), of: publisher.subnet)
    }
}
