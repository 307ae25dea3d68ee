public import Identity

/// Where nodes have said that they are, in their own signed records: pure.
///
/// The node heard of longest ago gives way at ``nodeLimit``. Of two records of a node the later one counts.
public struct AddressBook: Sendable {
    public static let nodeLimit = 1_024
    /// Addresses kept of one record, those through relays among them.
    public static let addressesPerNode = 16

    private struct Entry {
        let sequence: UInt64
        let addresses: [Address]
        var heard: UInt64
    }

    private var entries: [NodeID: Entry] = [:]
    private var count: UInt64 = 0

    public init() {}

    /// Takes a record whose signature has been checked.
    ///
    /// - Returns: whether it told something new.
    @discardableResult
    public mutating func learn(_ record: PeerRecord) -> Bool {
        count += 1
        let known = entries[record.nodeID]
        guard record.seq > known?.sequence ?? 0 || known == nil else { return false }
        let kept = Self.chosen(record.addresses)
        entries[record.nodeID] = Entry(sequence: record.seq, addresses: kept, heard: count)
        if entries.count > Self.nodeLimit, let oldest = entries.min(by: { $0.value.heard < $1.value.heard })?.key {
            entries[oldest] = nil
        }
        return known?.addresses != kept
    }

    /// A node with many interfaces must not crowd out the ways through its relays.
    private static func chosen(_ addresses: [Address]) -> [Address] {
        let relayed = addresses.filter(\.isRelayed).prefix(addressesPerNode / 2)
        return Array(addresses.filter { !$0.isRelayed }.prefix(addressesPerNode - relayed.count) + relayed)
    }

    /// The node's addresses as it put them, best first, each with `/p2p/` and its NodeID at the end.
    public func addresses(of nodeID: NodeID) -> [Address] {
        entries[nodeID]?.addresses.map { $0.with(nodeID: nodeID) } ?? []
    }

    /// The relays that the node is reached through: their own addresses, with their NodeIDs.
    public func relays(of nodeID: NodeID) -> [Address] {
        var relays: [Address] = []
        for case let relay? in (entries[nodeID]?.addresses ?? []).lazy.map({ $0.relay?.address })
        where !relays.contains(relay) { relays.append(relay) }
        return relays
    }
}
