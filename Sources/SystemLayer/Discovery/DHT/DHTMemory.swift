internal import DeP2PIdentity
package import DeP2PReactor
package import DeP2PStorage

/// The nodes of the DHT that a run has found useful, for the start of the next.
@NetworkActor
package final class DHTMemory {
    /// Nodes kept; the one that answered longest ago gives way.
    nonisolated static let limit = 64
    /// Of these, how many a lookup begins with.
    nonisolated static let seedLimit = 16
    /// How long they are worth trying, in milliseconds.
    nonisolated static let lifetime: UInt64 = 30 * 86_400_000
    nonisolated static let table = Table<[UInt8], Addresses>("dht-nodes", rows: limit, keyBytes: 64, valueBytes: 2_048)

    /// The addresses of one node as they are stored: a byte for the form, then their texts, a line each.
    struct Addresses: StoredBytes, Equatable {
        private static let form: UInt8 = 1
        /// Of one node.
        static let limit = 4

        let all: [Address]

        init(_ all: [Address]) { self.all = Array(all.prefix(Self.limit)) }

        var stored: [UInt8] { [Self.form] + all.map(\.description).joined(separator: "\n").utf8 }

        init?(stored bytes: [UInt8]) {
            guard bytes.first == Self.form, let text = String(validating: bytes.dropFirst(), as: UTF8.self) else {
                return nil
            }
            // A line that is no address is one of a later version's.
            self.init(text.split(separator: "\n").compactMap { try? Address(String($0)) })
        }
    }

    private let storage: any Storage
    private let wallClock: @Sendable () -> UInt64
    /// Whether what this run finds is kept; otherwise the store is read alone.
    private let writes: Bool
    private let reading = PatientRead<[DHTContact]>()

    package init(_ storage: any Storage, writes: Bool, wallClock: @escaping @Sendable () -> UInt64) {
        (self.storage, self.writes, self.wallClock) = (storage, writes, wallClock)
    }

    /// Those that answered last.
    func contacts() async -> [DHTContact] {
        let storage = storage
        return await reading.value {
            storage.entries(in: Self.table, newest: Self.seedLimit).compactMap { row in
                // What is no NodeID was not written by this version.
                guard let nodeID = try? NodeID(bytes: row.key), !row.entry.value.all.isEmpty else { return nil }
                return DHTContact(nodeID, addresses: row.entry.value.all)
            }
        } ?? []
    }

    /// Keeps these, the first the longest.
    func keep(_ contacts: [DHTContact]) async {
        let (storage, now) = (storage, wallClock())
        let kept = contacts.filter { !$0.addresses.isEmpty }.prefix(Self.limit)
        guard writes, !kept.isEmpty else { return }
        // It throws what the work does: nothing.
        _ = try? await offload {
            for (place, contact) in kept.enumerated() {
                let stamp = now &- UInt64(place)
                storage.set(
                    Entry(Addresses(contact.addresses), stamp: stamp, expires: now &+ Self.lifetime),
                    for: contact.nodeID.bytes, in: Self.table)
            }
        }
    }
}
