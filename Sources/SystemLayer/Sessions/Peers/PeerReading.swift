internal import DeP2PIdentity
internal import DeP2PReactor
internal import DeP2PStorage

/// Reads of single peers: those that come while one is under way go together with the next, so that a disk that stands
/// still takes one thread; and whoever asks waits for a while only. The time is the machine's, as the disk is.
@NetworkActor
final class PeerReading {
    /// How long whoever asks waits.
    static let patience = Duration.seconds(1)

    private var wanted: Set<NodeID> = []
    private var waiters: [NodeID: [Waiter<Void>]] = [:]
    private var isUnderWay = false

    nonisolated init() {}

    /// - Parameter found: called with each peer that was found, also when nobody waits for it any more.
    func read(
        _ nodeID: NodeID, from storage: any Storage, found: @escaping @NetworkActor (NodeID, KnownPeer) -> Void
    ) async {
        let waiter = Waiter<Void>()
        wanted.insert(nodeID)
        waiters[nodeID, default: []].append(waiter)
        start(storage, found)
        let clock = SystemNetworkClock.shared
        let token = clock.schedule(after: Self.patience) { waiter.resume(returning: ()) }
        defer {
            clock.cancel(token)
            waiters[nodeID]?.removeAll { $0 === waiter }
            if waiters[nodeID]?.isEmpty == true { waiters[nodeID] = nil }
        }
        // Read, too late, or cancelled: what is known by now counts.
        try? await waiter.value()
    }

    private func start(_ storage: any Storage, _ found: @escaping @NetworkActor (NodeID, KnownPeer) -> Void) {
        guard !isUnderWay, !wanted.isEmpty else { return }
        isUnderWay = true
        networkTask { [self] in
            while !wanted.isEmpty {
                let batch = wanted.sorted()
                wanted = []
                let table = PeerStore.table
                // It throws what the work does: nothing.
                let peers = try? await offload { batch.map { storage.entry($0.bytes, in: table)?.value } }
                for (nodeID, peer) in zip(batch, peers ?? []) { peer.map { found(nodeID, $0) } }
                for waiter in batch.flatMap({ waiters[$0] ?? [] }) { waiter.resume(returning: ()) }
            }
            isUnderWay = false
        }
    }
}
