internal import DeP2PIdentity

/// What is known of one node, apart from what the user says of it.
package struct KnownPeer: Hashable, Sendable {
    /// How long a record's addresses count, and those that a connection has proven.
    static let recordLifetime: UInt64 = 7 * 86_400_000
    static let provenLifetime: UInt64 = 30 * 86_400_000
    /// Times as close as this are one: nothing is written for what is just as it was a moment ago.
    package static let resolution: UInt64 = 600_000
    /// Addresses kept of a record, those through relays among them; and beside them of those proven, the latest.
    package static let recordAddresses = 16
    package static let provenAddresses = 4
    /// Bytes of the longest signed record kept as it came, of the protocols' names, and of the agent's.
    package static let recordBytes = 4 * 1024
    package static let protocolBytes = 1024
    package static let agentBytes = 64

    /// The number of the record that the addresses are from.
    package var sequence: UInt64 = 0
    /// The signed envelope (RFC 0002) as it came; empty when there was none, or a longer one than is kept.
    package var signedRecord: [UInt8] = []
    /// On whose word.
    package var voucher = AddressRule.Voucher.stranger
    /// Those of the record in its order, then those proven, the latest first.
    package var addresses: [KnownAddress] = []
    /// What it speaks and runs, as it says.
    package var protocols: [String] = []
    package var agent = ""
    /// When there was last a session with it; 0 never.
    package var lastSeen: UInt64 = 0

    /// Whether it is worth being remembered beyond this run: what strangers say of themselves ends with the process.
    package var isLasting: Bool { voucher >= .member || isProven }

    /// What its place is worth where there is too little room: that this node went there itself counts for something.
    package var worth: AddressRule.Voucher { isProven ? max(voucher, Self.provenWorth) : voucher }
    static let provenWorth = AddressRule.Voucher.neighbour

    /// Whether this node has reached it at an address that it knew.
    var isProven: Bool { addresses.contains { $0.origin == .proven || $0.outcome == .connected } }
    private var proven: [KnownAddress] { addresses.filter { $0.origin == .proven } }

    /// Takes a record that is later than the present one.
    mutating func take(_ record: PeerRecord, signed: [UInt8], from voucher: AddressRule.Voucher, now: UInt64) {
        let tried = Dictionary(
            addresses.map { ($0.address, $0) }, uniquingKeysWith: { $1.triedAt > $0.triedAt ? $1 : $0 })
        let named = Self.chosen(record.addresses).map { address in
            var known = KnownAddress(
                address, origin: .record, learnedAt: now, expires: now &+ Self.recordLifetime)
            if let earlier = tried[address] { (known.outcome, known.triedAt) = (earlier.outcome, earlier.triedAt) }
            return known
        }
        // Proven it is whether its record names it or not: that takes nobody's word.
        addresses = named + proven
        sequence = record.seq
        signedRecord = signed.count <= Self.recordBytes ? signed : []
        self.voucher = voucher
    }

    /// A node with many interfaces must not crowd out the ways through its relays.
    private static func chosen(_ addresses: [Address]) -> [Address] {
        var seen: Set<Address> = []
        let own = addresses.compactMap(\.withoutNodeID).filter { seen.insert($0).inserted }
        let relayed = own.filter(\.isRelayed).prefix(recordAddresses / 2)
        return Array(own.filter { !$0.isRelayed }.prefix(recordAddresses - relayed.count) + relayed)
    }

    mutating func describe(protocols: [String], agent: String, from voucher: AddressRule.Voucher) {
        if sequence == 0 { self.voucher = max(self.voucher, voucher) }
        var room = Self.protocolBytes
        self.protocols = Array(
            protocols.lazy.filter { !$0.contains("\n") }.prefix { name in
                room -= name.utf8.count + 1
                return room >= 0
            })
        self.agent = agent.clipped(toBytes: Self.agentBytes)
    }

    /// A connection was made to `address`, and the node was the one.
    mutating func connected(_ address: Address, now: UInt64) {
        let last = proven.first { $0.address == address }
        if let last, last.outcome == .connected, now >= last.triedAt, now - last.triedAt < Self.resolution { return }
        for index in addresses.indices where addresses[index].address == address {
            (addresses[index].outcome, addresses[index].triedAt) = (.connected, now)
        }
        var known = KnownAddress(address, origin: .proven, learnedAt: now, expires: now &+ Self.provenLifetime)
        (known.outcome, known.triedAt) = (.connected, now)
        let rest = proven.filter { $0.address != address }.prefix(Self.provenAddresses - 1)
        addresses = addresses.filter { $0.origin != .proven } + [known] + rest
    }

    /// There is, or was, a session with it.
    mutating func saw(now: UInt64) {
        if now >= lastSeen, now - lastSeen >= Self.resolution { lastSeen = now }
    }

    mutating func failed(_ address: Address, now: UInt64) {
        for index in addresses.indices where addresses[index].address == address {
            (addresses[index].outcome, addresses[index].triedAt) = (.failed, now)
        }
    }

    /// What two processes, or this one at two times, know of the node: the later record, and the latest of the rest.
    func merged(with other: KnownPeer) -> KnownPeer {
        let (late, early) = other.sequence > sequence ? (other, self) : (self, other)
        var result = late
        if late.sequence == early.sequence { result.voucher = max(late.voucher, early.voucher) }
        if result.signedRecord.isEmpty, late.sequence == early.sequence { result.signedRecord = early.signedRecord }
        let named = late.addresses.filter { $0.origin == .record }.map { known in
            var known = known
            let tried = early.addresses.first { $0.address == known.address && $0.triedAt > known.triedAt }
            if let tried { (known.outcome, known.triedAt) = (tried.outcome, tried.triedAt) }
            return known
        }
        var proven: [KnownAddress] = []
        for known in (late.proven + early.proven).sorted(by: { $0.triedAt > $1.triedAt })
        where !proven.contains(where: { $0.address == known.address }) { proven.append(known) }
        result.addresses = named + proven.prefix(Self.provenAddresses)
        let seen = lastSeen >= other.lastSeen ? self : other
        if !seen.agent.isEmpty { (result.protocols, result.agent) = (seen.protocols, seen.agent) }
        result.lastSeen = seen.lastSeen
        return result
    }

    /// The addresses in the order in which they are worth trying: what worked before the rest, what failed last.
    func ordered(now: UInt64) -> [KnownAddress] {
        let all = addresses.filter { $0.isValid(at: now) }
        let proven = Set(all.filter { $0.origin == .proven }.map(\.address))
        let valid = all.filter { $0.origin == .proven || !proven.contains($0.address) }
        let worked = valid.filter { $0.outcome == .connected }.sorted { $0.triedAt > $1.triedAt }
        return worked + valid.filter { $0.outcome == nil } + valid.filter { $0.outcome == .failed }
    }
}
