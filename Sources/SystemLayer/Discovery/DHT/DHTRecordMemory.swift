internal import DeP2PIdentity
package import DeP2PReactor
package import DeP2PStorage

/// The records that this node keeps for others, for its next run: who published them does so again within the hour, and until
/// then is found by nobody where this node is the only one that had them.
///
/// What it reads was somebody else's once, and is checked as if it came anew.
@NetworkActor
package final class DHTRecordMemory {
    /// Records on disk; the one written longest ago gives way. All are read at a start.
    nonisolated static let limit = 4_096
    /// Records written a second, and at once: of one subject, and of all. What is beyond is kept in memory alone, so that nobody
    /// wears out the disk, or fills what waits for it: each takes several pages of a log and a file. A member of a realm has a few
    /// stored in an hour.
    nonisolated static let rate = SubjectBudget.Rate(perSecond: 1, burst: 128)
    nonisolated static let totalRate = (perSecond: 4, burst: 512)
    /// Of a record, in milliseconds.
    nonisolated static let lifetime = RecordStore.lifetime.clampedNanoseconds / 1_000_000
    nonisolated static let table = Table<[UInt8], Record>(
        "dht-records", rows: limit, keyBytes: DHTKey.byteCount, valueBytes: Record.limit)

    /// An item and who stored it, as they are written.
    struct Record: StoredBytes, Equatable {
        private static let form: UInt8 = 1
        /// The longest address and NodeID, numbers and lengths, and BEP 44's bounds.
        static let limit =
            160 + MutableItem.publicKeyLength + MutableItem.signatureLength + MutableItem.saltLimit
            + MutableItem.valueLimit

        let item: MutableItem
        let publisher: RecordStore.Publisher

        init(_ item: MutableItem, from publisher: RecordStore.Publisher) {
            (self.item, self.publisher) = (item, publisher)
        }

        var stored: [UInt8] {
            // What came through a relay counts for that connection, which the next run does not have.
            let subnet = if case .network(let ip) = publisher.subnet { ip.bytes } else { [UInt8]() }
            return [Self.form] + Self.counted(subnet) + Self.counted(publisher.nodeID.bytes) + Self.counted(item.salt)
                + item.publicKey + item.signature + UInt64(item.seq).stored + item.value
        }

        private static func counted(_ bytes: [UInt8]) -> [UInt8] { [UInt8(bytes.count)] + bytes }

        init?(stored bytes: [UInt8]) {
            var rest = bytes[...]
            guard rest.popFirst() == Self.form, let subnet = Self.counted(&rest), let name = Self.counted(&rest),
                // What is no NodeID was not written by this version.
                let nodeID = try? NodeID(bytes: Array(name)), let salt = Self.counted(&rest),
                let publicKey = Self.take(MutableItem.publicKeyLength, of: &rest),
                let signature = Self.take(MutableItem.signatureLength, of: &rest),
                let seq = Self.take(8, of: &rest).flatMap({ UInt64(stored: Array($0)) }).flatMap(Int64.init(exactly:)),
                // Nor was what is beyond a limit.
                let item = try? MutableItem(
                    publicKey: Array(publicKey), salt: Array(salt), seq: seq, value: Array(rest),
                    signature: Array(signature))
            else { return nil }
            let ip = subnet.isEmpty ? IPAddress.v4Any : IPAddress(bytes: subnet)
            guard let ip else { return nil }
            self.init(item, from: RecordStore.Publisher(nodeID, subnet: .network(ip)))
        }

        private static func counted(_ rest: inout ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
            rest.popFirst().flatMap { take(Int($0), of: &rest) }
        }

        private static func take(_ count: Int, of rest: inout ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
            guard rest.count >= count else { return nil }
            defer { rest = rest.dropFirst(count) }
            return rest.prefix(count)
        }
    }

    private let storage: any Storage
    private let clock: any NetworkClock
    private let wallClock: @Sendable () -> UInt64
    private var budget = SubjectBudget(rate)
    private var totalBudget: TokenBucket

    package init(_ storage: any Storage, clock: any NetworkClock, wallClock: @escaping @Sendable () -> UInt64) {
        (self.storage, self.clock, self.wallClock) = (storage, clock, wallClock)
        totalBudget = TokenBucket(rate: Self.totalRate.perSecond, burst: Self.totalRate.burst, now: clock.now)
    }

    /// Writes what was stored just now.
    func keep(_ record: Record, sentBy subject: Subject) {
        guard budget.take(subject, now: clock.now), totalBudget.takeNow(now: clock.now) else { return }
        let now = wallClock()
        storage.set(
            Entry(record, stamp: now, expires: now &+ Self.lifetime),
            for: record.item.key.bytes, in: Self.table)
    }

    /// What earlier runs have written and is not over, and for how long each is good; those stored last come first.
    func records() async -> [(record: Record, left: Duration)] {
        let (storage, now) = (storage, wallClock())
        // It throws what the work does: nothing.
        let entries = try? await offload {
            storage.entries(in: Self.table).map(\.entry).filter { $0.value.item.isSigned }
        }
        return (entries ?? []).map { entry in
            let left = (entry.expires ?? now).subtractingReportingOverflow(now)
            return (entry.value, left.overflow ? .zero : .milliseconds(Int64(clamping: left.partialValue)))
        }
    }
}
