internal import DeP2PIdentity
package import DeP2PReactor
package import DeP2PStorage

/// Nodes of the BitTorrent DHT that answered in a run, for the start of the next.
@NetworkActor
package final class MainlineMemory {
    /// Nodes kept; the one that answered longest ago gives way.
    nonisolated static let limit = 64
    /// Of these, how many a run begins with.
    nonisolated static let seedLimit = 32
    /// How long they are worth trying, in milliseconds.
    nonisolated static let lifetime: UInt64 = 30 * 86_400_000
    nonisolated static let table = Table<[UInt8], [UInt8]>("mainline-nodes", rows: limit, keyBytes: 18, valueBytes: 21)
    private nonisolated static let form: UInt8 = 1

    private let storage: any Storage
    private let wallClock: @Sendable () -> UInt64
    /// Whether what this run finds is kept; otherwise the store is read alone.
    private let writes: Bool
    private let reading = PatientRead<[MainlineContact]>()

    package init(_ storage: any Storage, writes: Bool, wallClock: @escaping @Sendable () -> UInt64) {
        (self.storage, self.writes, self.wallClock) = (storage, writes, wallClock)
    }

    /// Those that answered last, the latest first.
    func contacts() async -> [MainlineContact] {
        let storage = storage
        return await reading.value {
            storage.entries(in: Self.table, newest: Self.seedLimit).compactMap { row in
                Self.contact(key: row.key, value: row.entry.value)
            }
        } ?? []
    }

    /// Keeps these.
    func keep(_ contacts: some Sequence<MainlineContact>) {
        guard writes else { return }
        let now = wallClock()
        for contact in contacts {
            storage.set(
                Entry([Self.form] + contact.id.bytes, stamp: now, expires: now &+ Self.lifetime),
                for: Array(contact.compact.dropFirst(MainlineID.byteCount)), in: Self.table)
        }
    }

    /// `nil` for what a later version wrote.
    private nonisolated static func contact(key: [UInt8], value: [UInt8]) -> MainlineContact? {
        guard value.first == form, value.count == 1 + MainlineID.byteCount else { return nil }
        return MainlineContact(compact: (value.dropFirst() + key)[...])
    }
}
