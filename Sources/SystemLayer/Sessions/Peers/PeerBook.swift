package import DeP2PIdentity
package import DeP2PReactor

/// What is known of nodes, and who may put how much into it: pure.
///
/// Two shelves. What the **user** says of a node (``give(_:of:as:now:)``) is of this run and is displaced by nothing. What
/// is **learned** is bounded by ``nodeLimit``: there the node gives way that was heard of longest ago, of those on whose
/// word the least is given, and before that those that came from the same subject once that has ``Share``'s number:
/// strangers have any number of identities, and don't make members forgotten; a member that makes up others displaces
/// those that it made up. Of two records of a node the later one counts. Which of the addresses may be dialled is
/// ``AddressRule``'s to say, at the time: interfaces come and go, strangers become members.
///
/// Times are milliseconds since 1970.
package struct PeerBook: Sendable {
    package static let nodeLimit = 1_024
    /// Nodes that the user may name, and addresses of each.
    package static let givenNodes = 1_024
    package static let givenAddresses = 16

    /// How many nodes one subject, and one subnet, may tell of.
    package struct Share: Sendable {
        package let perSubject: Int
        package let perSubnet: Int

        package static let strangers = Share(perSubject: 64, perSubnet: 256)
        /// Many members may be behind one NAT, or relay.
        package static let others = Share(perSubject: 512, perSubnet: 768)
    }

    private struct Entry {
        var peer: KnownPeer
        /// From where it was told; `nil` for what was remembered from another run, and for what this node found itself.
        var subject: Subject?
        var heard: UInt64
        /// Whether it wants strangers to be told where it is.
        var isShown = false
    }

    private var given: [NodeID: [KnownAddress]] = [:]
    /// The nodes that the user names as relays, in that order.
    private var relayOrder: [NodeID] = []
    private var entries: [NodeID: Entry] = [:]
    private var displaced: Set<NodeID> = []
    private var count: UInt64 = 0

    package init() {}

    package var learnedCount: Int { entries.count }

    /// What is known of the node, but for what the user says.
    package func peer(_ nodeID: NodeID) -> KnownPeer? { entries[nodeID]?.peer }

    // MARK: What the user says

    /// - Returns: false at a limit.
    @discardableResult
    package mutating func give(_ address: Address, of nodeID: NodeID, as origin: AddressOrigin, now: UInt64) -> Bool {
        var known = given[nodeID] ?? []
        guard let own = address.withoutNodeID, !known.contains(where: { $0.address == own && $0.origin == origin })
        else { return true }
        guard known.count < Self.givenAddresses, !known.isEmpty || given.count < Self.givenNodes else { return false }
        known.append(KnownAddress(own, origin: origin, learnedAt: now))
        given[nodeID] = known
        if origin == .relay, !relayOrder.contains(nodeID) { relayOrder.append(nodeID) }
        return true
    }

    /// The relays that the user names, each with all the ways to it, in the order in which they were named.
    package var ownRelays: [Address] { relayOrder.flatMap { nodeID in given(of: nodeID) { $0 == .relay } } }

    /// What the user says of a node, or what follows from that, in the order in which it was said; each with the NodeID at
    /// its end.
    package func given(of nodeID: NodeID, where isWanted: (AddressOrigin) -> Bool = { _ in true }) -> [Address] {
        unique((given[nodeID] ?? []).filter { isWanted($0.origin) }.map { $0.address.with(nodeID: nodeID) })
    }

    // MARK: What is learned

    /// Takes a record whose signature has been checked.
    ///
    /// - Parameters:
    ///   - signed: the record as it came.
    ///   - voucher: what the word of the node is worth.
    ///   - subject: where it came from.
    /// - Returns: whether it told something new.
    @discardableResult
    package mutating func learn(
        _ record: PeerRecord, signed: [UInt8] = [], from voucher: AddressRule.Voucher, subject: Subject?, now: UInt64
    ) -> Bool {
        let known = entries[record.nodeID]?.peer
        // The same record again, by a node that has proven more since.
        if let known, known.sequence == record.seq, known.sequence > 0 {
            entries[record.nodeID]?.peer.voucher = max(known.voucher, voucher)
        }
        guard record.seq > known?.sequence ?? 0 || known == nil else { return false }
        guard touch(record.nodeID, voucher, subject) else { return false }
        entries[record.nodeID]?.peer.take(record, signed: signed, from: voucher, now: now)
        return known.map { Self.named($0) != Self.named(entries[record.nodeID]?.peer) } ?? true
    }

    private static func named(_ peer: KnownPeer?) -> [Address] {
        (peer?.addresses ?? []).filter { $0.origin == .record }.map(\.address)
    }

    /// What a node says that it speaks and runs.
    package mutating func describe(
        _ nodeID: NodeID, protocols: [String], agent: String, from voucher: AddressRule.Voucher, subject: Subject?
    ) {
        guard touch(nodeID, voucher, subject) else { return }
        entries[nodeID]?.peer.describe(protocols: protocols, agent: agent, from: voucher)
    }

    /// A node says whether others may be told where it is: nobody is named who has not asked for it.
    package mutating func show(
        _ nodeID: NodeID, _ isShown: Bool, from voucher: AddressRule.Voucher, subject: Subject?
    ) {
        guard isShown ? touch(nodeID, voucher, subject) : entries[nodeID] != nil else { return }
        entries[nodeID]?.isShown = isShown
    }

    package func isShown(_ nodeID: NodeID) -> Bool { entries[nodeID]?.isShown == true }

    /// There is, or was, a session with the node. Of one that nothing else is known of nothing is noted.
    package mutating func saw(_ nodeID: NodeID, now: UInt64) {
        entries[nodeID]?.peer.saw(now: now)
    }

    /// A connection was made to `address`, and the other proved to be the node.
    package mutating func connected(to address: Address, of nodeID: NodeID, now: UInt64) {
        guard let own = address.withoutNodeID, touch(nodeID, KnownPeer.provenWorth, nil) else { return }
        entries[nodeID]?.peer.connected(own, now: now)
        note(.connected, own, nodeID, now)
    }

    /// Nothing came of `address`, or another node was there.
    package mutating func failed(at address: Address, of nodeID: NodeID, now: UInt64) {
        guard let own = address.withoutNodeID else { return }
        entries[nodeID]?.peer.failed(own, now: now)
        note(.failed, own, nodeID, now)
    }

    private mutating func note(_ outcome: KnownAddress.Outcome, _ address: Address, _ nodeID: NodeID, _ now: UInt64) {
        guard var known = given[nodeID] else { return }
        for index in known.indices where known[index].address == address {
            (known[index].outcome, known[index].triedAt) = (outcome, now)
        }
        given[nodeID] = known
    }

    /// Takes what another run remembered; what this one knows besides stays.
    package mutating func restore(_ peer: KnownPeer, of nodeID: NodeID) {
        if let known = entries[nodeID]?.peer {
            entries[nodeID]?.peer = known.merged(with: peer)
        } else if touch(nodeID, peer.worth, nil) {
            entries[nodeID]?.peer = peer
        }
    }

    // MARK: Room

    /// - Returns: false when there is no room for the node.
    private mutating func touch(_ nodeID: NodeID, _ worth: AddressRule.Voucher, _ subject: Subject?) -> Bool {
        count += 1
        if entries[nodeID] != nil {
            entries[nodeID]?.heard = count
            return true
        }
        if let subject { makeRoom(in: subject, isStranger: worth == .stranger) }
        if entries.count >= Self.nodeLimit, !makeRoom(for: worth) { return false }
        entries[nodeID] = Entry(peer: KnownPeer(), subject: subject, heard: count)
        return true
    }

    /// The nodes that were displaced by what the same subject, or subnet, told later, since this was asked last: what is
    /// kept of them elsewhere has no better claim to a place there. Where this node went itself is not among them.
    package mutating func takeDisplaced() -> Set<NodeID> {
        defer { displaced = [] }
        return displaced
    }

    /// Who is at their share displaces what they told before.
    private mutating func makeRoom(in subject: Subject, isStranger: Bool) {
        let share = isStranger ? Share.strangers : Share.others
        let fellows = entries.filter { entry in
            entry.value.subject?.subnet == subject.subnet && (entry.value.peer.worth == .stranger) == isStranger
        }
        let own = fellows.filter { $0.value.subject == subject }
        let crowded = own.count >= share.perSubject ? own : fellows.count >= share.perSubnet ? fellows : [:]
        guard let oldest = crowded.min(by: { $0.value.heard < $1.value.heard }) else { return }
        entries[oldest.key] = nil
        if oldest.value.peer.isLasting, !oldest.value.peer.isProven { displaced.insert(oldest.key) }
    }

    /// - Returns: false when nobody's word is worth as little.
    private mutating func makeRoom(for worth: AddressRule.Voucher) -> Bool {
        let least = entries.min { left, right in
            (left.value.peer.worth, left.value.heard) < (right.value.peer.worth, right.value.heard)
        }
        guard let least, least.value.peer.worth <= worth else { return false }
        entries[least.key] = nil
        return true
    }

    // MARK: Asking

    /// All that the node's record names, whatever may be dialled of it.
    package func listed(of nodeID: NodeID) -> [Address] {
        (entries[nodeID]?.peer.addresses ?? []).filter { $0.origin == .record }.map { $0.address.with(nodeID: nodeID) }
    }

    /// What may be dialled of the node, each with the NodeID at its end: what the user says first, then what has worked,
    /// then the rest as the node put it, and at last what failed.
    ///
    /// - Parameter voucher: what the word of the node is worth now, where that is known.
    package func addresses(
        of nodeID: NodeID, by rule: AddressRule, from voucher: AddressRule.Voucher = .stranger, now: UInt64
    ) -> [Address] {
        unique(given(of: nodeID) + dialable(nodeID, rule, voucher, now).map { $0.with(nodeID: nodeID) })
    }

    /// The relays that the node is reached through: their own addresses, with their NodeIDs, those that the user names
    /// first. The parameters are those of ``addresses(of:by:from:now:)``.
    package func relays(
        of nodeID: NodeID, by rule: AddressRule, from voucher: AddressRule.Voucher = .stranger, now: UInt64
    ) -> [Address] {
        unique((given(of: nodeID) + dialable(nodeID, rule, voucher, now)).compactMap { $0.relay?.address })
    }

    private func dialable(
        _ nodeID: NodeID, _ rule: AddressRule, _ voucher: AddressRule.Voucher, _ now: UInt64
    ) -> [Address] {
        guard let peer = entries[nodeID]?.peer else { return [] }
        return peer.ordered(now: now).filter { known in
            rule.admits(known, from: max(peer.voucher, voucher))
        }.map(\.address)
    }

    private func unique(_ addresses: [Address]) -> [Address] {
        var seen: Set<Address> = []
        return addresses.filter { seen.insert($0).inserted }
    }
}
