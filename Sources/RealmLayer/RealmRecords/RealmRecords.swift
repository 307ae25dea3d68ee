package import DeP2PDiscovery
package import DeP2PIdentity
package import DeP2PReactor
package import DeP2PSessions

/// A realm's records in a public store: publishes where this node is, sealed for its realm's members, and looks up where
/// others are.
///
/// Calling order: make it; ``publish()`` where the node is there to be reached; ``addressesChanged()``; ``stop()``.
@NetworkActor
package final class RealmRecords {
    /// How long one search may take.
    nonisolated static let patience = Duration.seconds(10)

    private let store: any RecordStoring
    private let nodeID: NodeID
    private let clock: any NetworkClock
    private let random: RandomSource
    private let wallClock: @Sendable () -> UInt64
    private let ownRecord: OwnRecord
    private let realm: Realm
    private let driver: MachineDriver<PublishingMachine>
    private var isPublishing = false
    /// What others keep of this node's: the item's key in each epoch. The store sees to it that they go on.
    private var published: [RealmEpoch: [UInt8]] = [:]
    /// Those of them that say where the node is now.
    private var current: Set<RealmEpoch> = []
    /// How often that has changed, or the realm.
    private var changes = 0

    /// The node's own signed record of at most so many bytes, and its number; `nil` where it has no address to tell.
    package typealias OwnRecord = @NetworkActor @Sendable (_ limit: Int) async -> (envelope: [UInt8], seq: UInt64)?

    package init(
        _ store: any RecordStoring, of realm: Realm, on connections: Connections,
        wallClock: @escaping @Sendable () -> UInt64, ownRecord: @escaping OwnRecord
    ) {
        (self.store, self.realm) = (store, realm)
        nodeID = connections.localNodeID
        (clock, random) = (connections.clock, connections.random)
        (self.wallClock, self.ownRecord) = (wallClock, ownRecord)
        driver = MachineDriver(PublishingMachine(), clock: connections.clock)
        driver.carryOut = { [weak self] actions in
            for _ in actions { networkTask { [weak self] in await self?.publishNow() } }
        }
        connections.onRealmChange { [weak self] _ in self?.realmChanged() }
    }

    // MARK: This node

    /// From now on the node lets itself be found in its realms.
    package func publish() {
        isPublishing = true
        realmChanged()
    }

    private func realmChanged() {
        for key in published.values { store.withdraw(key) }
        published = [:]
        noteChange()
        let isWanted = realm.key != nil && isPublishing
        driver.note { $0.setWanted(isWanted, now: $1) }
    }

    package func addressesChanged() {
        noteChange()
        driver.note { $0.changed(now: $1) }
    }

    private func noteChange() {
        changes += 1
        current = []
    }

    package func stop() { driver.stop() }

    private func publishNow() async {
        let epochs = RealmEpoch.published(at: wallClock())
        for (epoch, key) in published where !epochs.contains(epoch) {
            store.withdraw(key)
            published[epoch] = nil
        }
        let isPlaced = await publish(epochs.filter { !current.contains($0) })
        driver.note { $0.ended(isPlaced: isPlaced, now: $1) }
    }

    /// - Returns: whether somebody has taken each.
    private func publish(_ epochs: [RealmEpoch]) async -> Bool {
        guard !epochs.isEmpty else { return true }
        let before = changes
        guard let key = realm.key, let own = await ownRecord(RealmSlot.contentLength) else { return false }
        for epoch in epochs {
            guard before == changes, let slot = RealmSlot(of: nodeID, in: key, epoch: epoch),
                let item = slot.item(sealing: own.envelope, seq: own.seq, random: random)
            else { return false }
            published[epoch] = slot.key
            let placed = await store.store(item)
            // Who has changed realms meanwhile has withdrawn it.
            if placed > 0, before == changes { current.insert(epoch) }
        }
        return current.isSuperset(of: epochs)
    }

    // MARK: Others

    /// Where a member's record may stand now; nowhere in no realm. Its clock may be in another epoch than this one.
    package func slots(of nodeID: NodeID) -> [RealmSlot] {
        guard let key = realm.key else { return [] }
        return RealmEpoch.published(at: wallClock()).compactMap { RealmSlot(of: nodeID, in: key, epoch: $0) }
    }

    private func look(for nodeID: NodeID, _ found: AsyncStream<FoundAddresses>.Continuation) async {
        var best: UInt64 = 0
        var (asked, answered) = (0, 0)
        for slot in slots(of: nodeID) where !Task.isCancelled {
            let counts = await store.findItem(slot.key, within: Self.patience) { item in
                // An older one may be a replay: what it names is no worse than nothing, but the newest counts.
                guard let record = slot.record(in: item), record.seq > best else { return }
                best = record.seq
                let known = record.addresses.map { KnownAddress($0, origin: .record, learnedAt: 0) }
                found.yield(FoundAddresses(known, from: .member))
            }
            (asked, answered) = (asked + counts.asked, answered + counts.answered)
        }
        found.yield(FoundAddresses([], detail: "\(answered) of \(asked) nodes answered"))
    }
}

extension RealmRecords: AddressSource {
    package nonisolated var name: String { "realm" }

    package func addresses(of nodeID: NodeID) -> AsyncStream<FoundAddresses> {
        let (stream, found) = FoundAddresses.makeStream()
        guard realm.key != nil else {
            found.finish()
            return stream
        }
        let task = networkTask { [weak self] in
            await self?.look(for: nodeID, found)
            found.finish()
        }
        found.onTermination = { _ in task.cancel() }
        return stream
    }
}
