internal import DeP2PReach
internal import DeP2PReactor
internal import DeP2PSessions
internal import DeP2PStorage

/// What the node remembers between runs.
@NetworkActor
final class StoragePart: NodePart {
    /// How long a node that stops waits for its disk.
    private static let patience = Duration.seconds(2)

    private let storage: any Storage
    private let sequence: RecordSequence
    private let udp: UDPMemory
    private let peers: PeerStore
    private let clock: any NetworkClock

    init(
        _ storage: any Storage, sequence: RecordSequence, udp: UDPMemory, peers: PeerStore, clock: any NetworkClock
    ) {
        (self.storage, self.sequence, self.udp, self.peers, self.clock) = (storage, sequence, udp, peers, clock)
    }

    /// What was noted in the last moment is on disk, or cannot be; a disk that stands still holds no node up.
    func stop() async {
        let done = Waiter<Void>()
        networkTask { [storage, sequence, udp, peers] in
            await udp.flush()
            await peers.flush()
            await sequence.flush()
            // It throws what the work does: nothing.
            _ = try? await offload { storage.flush() }
            done.resume(returning: ())
        }
        let token = clock.schedule(after: Self.patience) { done.resume(returning: ()) }
        defer { clock.cancel(token) }
        // Cancelled: it waits for nothing.
        try? await done.value()
    }
}
