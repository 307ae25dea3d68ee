internal import CDeP2PIPSecMB
internal import Synchronization

/// The library's state, one for each thread that hashes at the moment.
final class HashLanes: Sendable {
    enum Creation {
        case made(OpaquePointer)
        /// Not now: there was no memory for it.
        case failed
        /// Never: the processor has no lanes.
        case missing
    }

    /// Kept for the next time; threads beyond that make their own.
    private static let kept = 4

    /// Messages that are worth hashing at once; 1 without lanes, since one after another needs no others.
    static let together: Int = {
        var count = 16
        shared.borrow { lanes in
            count = Int(dep2p_hash_lanes_together(lanes))
            return true
        }
        return shared.isMissing.load(ordering: .relaxed) ? 1 : count
    }()

    static let shared = HashLanes {
        var isMissing = false
        if let lanes = dep2p_hash_lanes_create(&isMissing) { return .made(lanes) }
        return isMissing ? .missing : .failed
    }

    private let idle = Mutex<[Lanes]>([])
    private let isMissing = Atomic<Bool>(false)
    private let create: @Sendable () -> Creation

    // Proof for @unchecked: a value is in the list or in the hands of one call of `borrow`, never both; it changes hands
    // under the list's mutex.
    private struct Lanes: @unchecked Sendable {
        let pointer: OpaquePointer
    }

    init(create: @escaping @Sendable () -> Creation) {
        self.create = create
    }

    deinit {
        for lanes in idle.withLock({ $0 }) { dep2p_hash_lanes_free(lanes.pointer) }
    }

    /// Calls `body` unless there are no lanes. Lanes that failed, which `body` tells, are not used again.
    func borrow(_ body: (OpaquePointer) -> Bool) {
        guard !isMissing.load(ordering: .relaxed), let lanes = take() else { return }
        let worked = body(lanes.pointer)
        let isKept = idle.withLock { idle in
            guard worked, idle.count < Self.kept else { return false }
            idle.append(lanes)
            return true
        }
        if !isKept { dep2p_hash_lanes_free(lanes.pointer) }
    }

    private func take() -> Lanes? {
        if let lanes = idle.withLock({ $0.popLast() }) { return lanes }
        switch create() {
        case .made(let pointer): return Lanes(pointer: pointer)
        case .failed: return nil
        case .missing:
            isMissing.store(true, ordering: .relaxed)
            return nil
        }
    }
}
