package import DeP2PIdentity
package import DeP2PReactor
package import DeP2PStorage

/// Numbers the records that a node signs: the wall clock in milliseconds, and never one that is not above all before it,
/// also those of earlier runs, when the clock was set back meanwhile.
@NetworkActor
package final class RecordSequence {
    /// Identities remembered; the one that signed the longest ago gives way.
    private static let table = Table<[UInt8], UInt64>("record-sequence", rows: 64, keyBytes: 64, valueBytes: 8)

    private let key: [UInt8]
    private let storage: any Storage
    private let wallClock: @Sendable () -> UInt64
    private var last: UInt64 = 0
    private var saved: UInt64 = 0
    private var saving: Task<Void, Never>?
    private let loading = PatientRead<UInt64>()
    private var isLoaded = false

    /// - Parameter storage: where the last number of `nodeID` is kept; it has to be one that ends with the process for an
    ///   identity that does.
    package nonisolated init(
        of nodeID: NodeID, storage: any Storage, wallClock: @escaping @Sendable () -> UInt64 = WallClock.milliseconds
    ) {
        key = nodeID.bytes
        self.storage = storage
        self.wallClock = wallClock
    }

    /// The next number; it is on its way to the store when this returns.
    package func next() async -> UInt64 {
        await load()
        last = max(wallClock(), last &+ 1)
        save()
        return last
    }

    /// Waits until the last number is in the store.
    package func flush() async { await saving?.value }

    /// Where the disk takes too long the wall clock has to do: what is stored meanwhile only grows anyway.
    private func load() async {
        guard !isLoaded else { return }
        let (key, storage, table) = (key, storage, Self.table)
        let found: @NetworkActor (UInt64) -> Void = { [self] stored in
            last = max(last, stored)
            isLoaded = true
        }
        _ = await loading.value(found: found) { storage.entry(key, in: table)?.value ?? 0 }
    }

    /// One at a time: what comes meanwhile goes with the next. Another process with the same identity may be counting
    /// too, so what is stored only grows.
    private func save() {
        guard saving == nil else { return }
        saving = networkTask { [self] in
            while saved < last {
                let (number, key, storage, table) = (last, key, storage, Self.table)
                let now = wallClock()
                // It throws what the work does: nothing.
                _ = try? await offload {
                    storage.update(key, in: table) { old in
                        if let old, old.value >= number { return old }
                        return Entry(number, stamp: now)
                    }
                }
                saved = number
            }
            saving = nil
        }
    }
}
