package import DeP2PIdentity
package import DeP2PReactor
package import DeP2PStorage

/// The one home of what a node knows of others: carries out what ``PeerBook`` decides, and keeps what lasts.
///
/// A dial asks what is in memory first (``addresses(of:by:from:)``), and what an earlier run knew comes late, as an
/// ``AddressSource``. Rows go to the store in batches, merged with what other processes have put there; nothing here waits
/// for a disk but ``recall(_:)``, which has its patience, and ``flush()``.
@NetworkActor
package final class PeerStore {
    /// What lasts of each node: ``KnownPeer/isLasting``. The node that was seen longest ago gives way.
    package nonisolated static let table = Table<[UInt8], KnownPeer>(
        "peers", rows: PeerBook.nodeLimit, keyBytes: 64, valueBytes: KnownPeer.storedBytes)
    /// How long nobody hears of a node until it is forgotten, in milliseconds.
    package nonisolated static let lifetime: UInt64 = 90 * 86_400_000
    /// For how long a node that went is still told to be where it was, in milliseconds: it may be back at any moment.
    package nonisolated static let presence: UInt64 = 3_600_000
    /// Changes within this time after one are written together.
    package nonisolated static let saveDelay = Duration.seconds(1)

    /// Where it is kept: for this run only, until a node says where.
    package var storage: (any Storage)?
    /// Whether what is learned goes there; otherwise the store is read alone.
    package var writes = true
    package private(set) var book = PeerBook()
    private let clock: any NetworkClock
    private let wallClock: @Sendable () -> UInt64
    private var changed: Set<NodeID> = []
    /// Those whose rows are to go.
    private var displaced: Set<NodeID> = []
    private var timer: TimerToken?
    private var saving: Task<Void, Never>?
    private let reading = PeerReading()

    package nonisolated init(
        clock: any NetworkClock, wallClock: @escaping @Sendable () -> UInt64 = WallClock.milliseconds
    ) {
        self.clock = clock
        self.wallClock = wallClock
    }

    // MARK: Learning

    /// The user says that the address, which ends in `/p2p/` and a NodeID, is that node's.
    ///
    /// - Returns: false at a limit, or when it names no node.
    @discardableResult
    package func give(_ address: Address, as origin: AddressOrigin = .user) -> Bool {
        guard let nodeID = address.nodeID else { return false }
        return book.give(address, of: nodeID, as: origin, now: wallClock())
    }

    /// Takes what a node says of itself.
    ///
    /// - Parameters:
    ///   - voucher: what its word is worth.
    ///   - subject: where it came from.
    package func learn(
        _ information: PeerInformation, of nodeID: NodeID, from voucher: AddressRule.Voucher, subject: Subject
    ) {
        let now = wallClock()
        change(nodeID) { book in
            if let record = information.record, record.nodeID == nodeID {
                book.learn(record, signed: information.signedRecord, from: voucher, subject: subject, now: now)
            }
            book.describe(
                nodeID, protocols: information.protocols, agent: information.agentVersion, from: voucher,
                subject: subject)
            book.saw(nodeID, now: now)
        }
    }

    /// A node says whether strangers may be told where it is (``shown(_:)``); of this run.
    package func show(_ nodeID: NodeID, _ isShown: Bool, from voucher: AddressRule.Voucher, subject: Subject) {
        change(nodeID) { $0.show(nodeID, isShown, from: voucher, subject: subject) }
    }

    /// There is, or was, a session with the node.
    package func saw(_ nodeID: NodeID) {
        let now = wallClock()
        change(nodeID) { $0.saw(nodeID, now: now) }
    }

    /// Takes what came of a dial: its attempts name the addresses that were tried.
    package func learn(from attempts: [ConnectAttempt], of nodeID: NodeID) {
        let now = wallClock()
        change(nodeID) { book in
            for attempt in attempts where attempt.stage != .resolve {
                // Nothing is noted of a name with what it resolved to, nor of a relay on the way.
                guard case .address(let address) = attempt.place, Self.names(address, nodeID) else { continue }
                switch attempt.outcome {
                case .connected: book.connected(to: address, of: nodeID, now: now)
                case .timeout, .refused, .unreachable, .wrongPeer, .handshakeFailed, .relayRefused, .peerAbsent:
                    book.failed(at: address, of: nodeID, now: now)
                case .relayBusy, .closed, .nameUnknown, .resolverFailed, .unsupported, .superseded: continue
                }
            }
        }
    }

    /// Attempts to reach a relay on the way are the relay's.
    private static func names(_ address: Address, _ nodeID: NodeID) -> Bool {
        address.nodeID == nil || address.nodeID == nodeID
    }

    // MARK: Asking

    /// What may be dialled of a node, by what is in memory; see ``PeerBook/addresses(of:by:from:now:)``.
    package func addresses(
        of nodeID: NodeID, by rule: AddressRule, from voucher: AddressRule.Voucher
    ) -> [Address] {
        book.addresses(of: nodeID, by: rule, from: voucher, now: wallClock())
    }

    /// The envelope around what a node says of itself, as it came; empty where there is none that is kept.
    package func signedRecord(of nodeID: NodeID) -> [UInt8] { book.peer(nodeID)?.signedRecord ?? [] }

    package func relays(of nodeID: NodeID, by rule: AddressRule, from voucher: AddressRule.Voucher) -> [Address] {
        book.relays(of: nodeID, by: rule, from: voucher, now: wallClock())
    }

    /// Where a node is that there is a session with, or was a short while ago: what it has said itself, and where it was
    /// reached. Whoever asks is told only what ``AddressRule`` says.
    package func present(_ nodeID: NodeID) -> [Address] {
        let now = wallClock()
        guard let peer = book.peer(nodeID), peer.lastSeen > 0, now < peer.lastSeen &+ Self.presence else { return [] }
        return peer.ordered(now: now).map(\.address)
    }

    /// As ``present(_:)``, of a node that wants others to be told.
    package func shown(_ nodeID: NodeID) -> [Address] { book.isShown(nodeID) ? present(nodeID) : [] }

    /// Reads what an earlier run knew of the node, for as long as a dial may wait for that.
    package func recall(_ nodeID: NodeID) async {
        guard let storage else { return }
        await reading.read(nodeID, from: storage) { [self] nodeID, peer in book.restore(peer, of: nodeID) }
    }

    // MARK: Keeping

    /// What is new is on its way to the store at once; what comes soon after it goes with the next batch.
    private func change(_ nodeID: NodeID, _ body: (inout PeerBook) -> Void) {
        let before = book.peer(nodeID)
        body(&book)
        let gone = book.takeDisplaced()
        guard writes, storage != nil, let peer = book.peer(nodeID), peer.isLasting, peer != before else { return }
        displaced.formUnion(gone)
        displaced.remove(nodeID)
        changed.insert(nodeID)
        guard timer == nil else { return }
        save()
        timer = clock.schedule(after: Self.saveDelay) { [weak self] in
            self?.timer = nil
            self?.save()
        }
    }

    /// One batch at a time: what comes meanwhile goes with the next.
    private func save() {
        guard let storage, saving == nil, !changed.isEmpty else { return }
        saving = networkTask { [self] in
            while !changed.isEmpty {
                let batch = changed.sorted().compactMap { nodeID in book.peer(nodeID).map { (nodeID.bytes, $0) } }
                // Whoever makes up nodes without end must not have them fill the store one after the other: there the
                // rows of all others would give way.
                let gone = displaced.sorted().map(\.bytes)
                (changed, displaced) = ([], [])
                let (now, table, lifetime) = (wallClock(), Self.table, Self.lifetime)
                // It throws what the work does: nothing.
                _ = try? await offload {
                    for (key, peer) in batch {
                        storage.update(key, in: table) { old in
                            Entry(
                                old.map { peer.merged(with: $0.value) } ?? peer, stamp: now, expires: now &+ lifetime)
                        }
                    }
                    for key in gone { storage.remove(key, in: table) }
                }
            }
            saving = nil
        }
    }

    /// Waits until what was learned is in the store.
    package func flush() async {
        timer.map(clock.cancel)
        timer = nil
        save()
        await saving?.value
    }
}

extension PeerStore: AddressSource {
    package nonisolated var name: String { "remembered" }

    package func answer(of nodeID: NodeID) -> FoundAddresses? { storage == nil ? FoundAddresses([]) : nil }

    /// What an earlier run knew.
    package func addresses(of nodeID: NodeID) -> AsyncStream<FoundAddresses> {
        let (stream, found) = FoundAddresses.makeStream()
        networkTask { [self] in
            await recall(nodeID)
            if let peer = book.peer(nodeID) {
                found.yield(FoundAddresses(peer.ordered(now: wallClock()), from: peer.voucher))
            }
            found.finish()
        }
        return stream
    }
}
