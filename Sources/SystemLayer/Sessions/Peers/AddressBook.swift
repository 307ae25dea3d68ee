package import DeP2PIdentity

/// Where nodes have said that they are, in their own signed records: pure.
///
/// At ``nodeLimit`` the node gives way that was heard of longest ago, of those on whose word the least is given: strangers
/// have any number of identities, and don't make members forgotten. Of two records of a node the later one counts. Which
/// of the addresses may be dialled is ``AddressRule``'s to say, at the time: interfaces come and go, strangers become
/// members.
package struct AddressBook: Sendable {
    package static let nodeLimit = 1_024
    /// Addresses kept of one record, those through relays among them.
    package static let addressesPerNode = 16

    private struct Entry {
        let sequence: UInt64
        let addresses: [Address]
        /// On whose word.
        var voucher: AddressRule.Voucher
        var heard: UInt64
    }

    private var entries: [NodeID: Entry] = [:]
    private var count: UInt64 = 0

    package init() {}

    /// Takes a record whose signature has been checked.
    ///
    /// - Parameter voucher: what the word of the node is worth.
    /// - Returns: whether it told something new.
    @discardableResult
    package mutating func learn(_ record: PeerRecord, from voucher: AddressRule.Voucher = .stranger) -> Bool {
        count += 1
        let known = entries[record.nodeID]
        // The same record again, by a node that has proven more since.
        if let known, record.seq == known.sequence { entries[record.nodeID]?.voucher = max(known.voucher, voucher) }
        guard record.seq > known?.sequence ?? 0 || known == nil else { return false }
        let kept = Self.chosen(record.addresses)
        if known == nil, entries.count >= Self.nodeLimit, !makeRoom(for: voucher) { return false }
        entries[record.nodeID] = Entry(sequence: record.seq, addresses: kept, voucher: voucher, heard: count)
        return known?.addresses != kept
    }

    /// - Returns: false when nobody's word is worth as little.
    private mutating func makeRoom(for voucher: AddressRule.Voucher) -> Bool {
        let least = entries.min { ($0.value.voucher, $0.value.heard) < ($1.value.voucher, $1.value.heard) }
        guard let least, least.value.voucher <= voucher else { return false }
        entries[least.key] = nil
        return true
    }

    /// A node with many interfaces must not crowd out the ways through its relays.
    private static func chosen(_ addresses: [Address]) -> [Address] {
        let relayed = addresses.filter(\.isRelayed).prefix(addressesPerNode / 2)
        return Array(addresses.filter { !$0.isRelayed }.prefix(addressesPerNode - relayed.count) + relayed)
    }

    /// The node's addresses as it put them, best first, each with `/p2p/` and its NodeID at the end.
    ///
    /// - Parameters:
    ///   - rule: leaves out what may not be dialled; `nil` gives all.
    ///   - voucher: what the word of the node is worth now, where that is known.
    package func addresses(
        of nodeID: NodeID, by rule: AddressRule? = nil, from voucher: AddressRule.Voucher = .stranger
    ) -> [Address] {
        dialable(nodeID, rule, voucher).map { $0.with(nodeID: nodeID) }
    }

    /// The relays that the node is reached through: their own addresses, with their NodeIDs. The parameters are those of
    /// ``addresses(of:by:from:)``.
    package func relays(
        of nodeID: NodeID, by rule: AddressRule? = nil, from voucher: AddressRule.Voucher = .stranger
    ) -> [Address] {
        var relays: [Address] = []
        for case let relay? in dialable(nodeID, rule, voucher).lazy.map({ $0.relay?.address })
        where !relays.contains(relay) { relays.append(relay) }
        return relays
    }

    private func dialable(_ nodeID: NodeID, _ rule: AddressRule?, _ voucher: AddressRule.Voucher) -> [Address] {
        guard let entry = entries[nodeID] else { return [] }
        return entry.addresses.filter { rule?.admits($0, from: max(entry.voucher, voucher)) ?? true }
    }
}
