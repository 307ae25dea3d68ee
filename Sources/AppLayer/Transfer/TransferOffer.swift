internal import DeP2PIdentity

/// What a sender wants to send.
public struct TransferOffer: Hashable, Sendable {
    public let entries: TransferEntries
    /// Bytes of all entries whose size is known.
    public let totalSize: UInt64

    /// - Throws: ``TransferError`` `.badOffer` when a limit is exceeded: entries, path bytes, or a sum of sizes beyond
    ///   what 64 bits and a file can hold.
    package init(entries: some Sequence<TransferEntry>) throws(TransferError) {
        try self.init(entries: TransferEntries(entries))
    }

    /// - Throws: as ``init(entries:)``.
    package init(entries: TransferEntries) throws(TransferError) {
        guard entries.count <= TransferLimits.entries else {
            throw TransferError(
                .badOffer, "\(entries.count) files and folders; one transfer takes \(TransferLimits.entries)")
        }
        var total: UInt64 = 0
        for index in entries.indices {
            let (sum, overflow) = total.addingReportingOverflow(entries.size(at: index))
            guard !overflow, sum <= TransferLimits.fileSize else {
                throw TransferError(.badOffer, "the sizes add up to more than 2^63 bytes")
            }
            total = sum
        }
        let bytes = entries.nameBytes
        guard bytes <= TransferLimits.offerBytes else {
            throw TransferError(.badOffer, "\(bytes) bytes of names; one transfer takes \(TransferLimits.offerBytes)")
        }
        guard entries.indices.count(where: { entries.kind(at: $0) == .stream }) <= 1 else {
            throw TransferError(.badOffer, "more than one stream")
        }
        self.entries = entries
        totalSize = total
    }

    /// Whether the number of bytes is known beforehand.
    public var hasStream: Bool { entries.indices.contains { entries.kind(at: $0) == .stream } }

    /// The first components of all paths: what was named. Each once, in the order of the offer.
    var tops: [String] { entries.tops().map { String(decoding: $0, as: UTF8.self) } }

    /// Entries that carry bytes.
    public var fileCount: Int { entries.indices.count { entries.kind(at: $0) != .directory } }
}
