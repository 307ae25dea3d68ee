package import DeP2PDiscovery
internal import DeP2PIdentity
package import DeP2PReactor
package import DeP2PSessions

/// The slots in which a realm's members announce themselves, so that others meet them that know nothing but the realm key:
/// keeps this node in one of them, and tells who stands in the others.
///
/// Calling order: make it; ``announce()`` where the node is there to be met, ``members()`` where it wants to meet others;
/// ``addressesChanged()``; ``stop()``.
@NetworkActor
package final class Announcements {
    /// How long the search for one slot may take, and how many are looked for at once.
    nonisolated static let patience = Duration.seconds(10)
    private nonisolated static let lanes = 4
    /// Who reads at once; nobody further does.
    nonisolated static let readerLimit = 16

    private let family: RealmSlot.Family
    private let store: any RecordStoring
    private let connections: Connections
    private let wallClock: @Sendable () -> UInt64
    private let ownRecord: RealmRecords.OwnRecord
    private let realm: Realm
    private let driver: MachineDriver<AnnouncingMachine>
    private var readers: [Int: AsyncStream<FoundAddresses>.Continuation] = [:]
    private var lastReader = 0
    private var isAnnouncing = false
    /// Since when this node has had to say what it has now: wall clock.
    private var changedAt: UInt64 = 0

    package init(
        _ family: RealmSlot.Family, in store: any RecordStoring, of realm: Realm, on connections: Connections,
        wallClock: @escaping @Sendable () -> UInt64, ownRecord: @escaping RealmRecords.OwnRecord
    ) {
        (self.family, self.store, self.realm, self.connections) = (family, store, realm, connections)
        (self.wallClock, self.ownRecord) = (wallClock, ownRecord)
        driver = MachineDriver(AnnouncingMachine(), clock: connections.clock)
        driver.carryOut = { [weak self] actions in
            for _ in actions { networkTask { [weak self] in await self?.look() } }
        }
        connections.onRealmChange { [weak self] _ in self?.realmChanged() }
    }

    /// From now on the node announces itself in its realms.
    package func announce() {
        isAnnouncing = true
        realmChanged()
    }

    private func realmChanged() {
        changedAt = wallClock()
        // What is under way is of the other realm.
        driver.note { machine, now in machine.set(announces: false, reads: false, now: now) }
        update()
    }

    private func update() {
        let isIn = realm.key != nil
        driver.note { [isAnnouncing, readers] machine, now in
            machine.set(announces: isIn && isAnnouncing, reads: isIn && !readers.isEmpty, now: now)
        }
    }

    package func addressesChanged() {
        changedAt = wallClock()
        driver.note { $0.changed(now: $1) }
    }

    package func stop() {
        driver.stop()
        for reader in readers.values { reader.finish() }
        readers = [:]
    }

    // MARK: Looking

    private var isLonely: Bool { !connections.sessions.contains(where: \.isAdmitted) }

    private func look() async {
        var outcome = AnnouncingMachine.Outcome.looked
        let time = wallClock()
        // Others announce themselves in both where two overlap.
        for epoch in isAnnouncing ? RealmEpoch.published(at: time) : [RealmEpoch(at: time)] {
            switch await look(at: epoch) {
            case .failed: outcome = .failed
            case .written where outcome == .looked: outcome = .written
            case .written, .looked: continue
            }
        }
        driver.note { [isLonely] machine, now in machine.ended(outcome, isLonely: isLonely, now: now) }
    }

    private func look(at epoch: RealmEpoch) async -> AnnouncingMachine.Outcome {
        guard let key = realm.key else { return .looked }
        let reading = Reading(
            slots: (0..<AnnounceBoard.slots).compactMap { RealmSlot(announcing: $0, of: family, in: key, epoch: epoch) }
        )
        guard await read(reading) else { return .failed }
        // The realm may be another one by now.
        guard isAnnouncing, realm.key == key else { return .looked }
        return await write(by: reading.board, to: reading.slots)
    }

    /// What was found so far in the slots of an epoch.
    @NetworkActor
    private final class Reading {
        let slots: [RealmSlot]
        var board = AnnounceBoard()
        var next = 0
        var answered = 0
        var lanes = Announcements.lanes
        let done = Waiter<Void>()

        init(slots: [RealmSlot]) { self.slots = slots }
    }

    /// - Returns: whether anybody has answered.
    private func read(_ reading: Reading) async -> Bool {
        for _ in 0..<reading.lanes {
            networkTask { [self] in
                while reading.next < reading.slots.count, !driver.isStopped {
                    let number = reading.next
                    reading.next += 1
                    await read(UInt8(number), reading)
                }
                reading.lanes -= 1
                if reading.lanes == 0 { reading.done.resume(returning: ()) }
            }
        }
        // Nobody cancels this task.
        try? await reading.done.value()
        return reading.answered > 0
    }

    private func read(_ number: UInt8, _ reading: Reading) async {
        let slot = reading.slots[Int(number)]
        let counts = await store.findItem(slot.key, within: Self.patience) { [weak self] item in
            // Many have the same, and each signature costs.
            guard let self, reading.board.isNews(item.seq, in: number), let record = slot.record(in: item) else {
                return
            }
            reading.board.found(AnnounceBoard.Entry(nodeID: record.nodeID, seq: item.seq), in: number)
            tell(record)
        }
        reading.answered += counts.answered
    }

    private func tell(_ record: PeerRecord) {
        guard record.nodeID != connections.localNodeID else { return }
        let rule = connections.addressRule()
        let known = record.addresses.compactMap(\.withoutNodeID).map { address in
            KnownAddress(address.with(nodeID: record.nodeID), origin: .record, learnedAt: 0)
        }.filter { (connections.usesDirect || $0.address.isRelayed) && rule.admits($0, from: .member) }
        guard !known.isEmpty else { return }
        for reader in readers.valuesInOrder {
            reader.yield(FoundAddresses(known, from: .member))
        }
    }

    private func write(by board: AnnounceBoard, to slots: [RealmSlot]) async -> AnnouncingMachine.Outcome {
        let decision = board.decision(
            for: connections.localNodeID, changedAt: changedAt, at: wallClock(), isLonely: isLonely,
            random: connections.random.next())
        guard case .write(let number, let above) = decision else { return .looked }
        let slot = slots[Int(number)]
        guard let own = await ownRecord(RealmSlot.contentLength),
            let item = slot.item(
                sealing: own.envelope, seq: max(wallClock(), above < 0 ? 0 : UInt64(above) + 1),
                random: connections.random)
        else { return .failed }
        let count = await store.store(item)
        // It is renewed with a new number, or somebody else's by then.
        store.withdraw(slot.key)
        return count > 0 ? .written : .failed
    }
}

extension Announcements: MemberSource {
    package func members() -> AsyncStream<FoundAddresses> {
        let (stream, found) = FoundAddresses.makeStream()
        guard !driver.isStopped, readers.count < Self.readerLimit else {
            found.finish()
            return stream
        }
        lastReader += 1
        let reader = lastReader
        readers[reader] = found
        found.onTermination = { [weak self] _ in
            networkTask {
                guard self?.readers.removeValue(forKey: reader) != nil else { return }
                self?.update()
            }
        }
        update()
        return stream
    }
}
