package import DeP2PDiscovery
package import DeP2PIdentity

/// Where a member's record stands in a public store for one epoch, and what makes it readable: pure.
///
/// The slot's signing key is derived from the realm key, the epoch, and the member's NodeID or the number of an announce slot:
/// who knows these finds, checks and opens the record; to everybody else it is one of many items, all of one length, whose key
/// says nothing. Every member could sign for every other; what is inside is a member's own signed record, which nobody else can
/// make.
package struct RealmSlot: Sendable {
    /// Of the value, a bencoded string of this many bytes: every item is as long. An answer of the BitTorrent DHT with it and
    /// eight nodes of IPv6 is 1,409 bytes from libtorrent: one packet, where BEP 44's longest value makes two, of which many
    /// networks lose the second, and more than the 1,500 bytes that libtorrent takes.
    static let sealedLength = 848
    /// Of what is sealed: its length, and so many bytes of record and padding.
    static let contentLength = sealedLength - SealingKey.overhead - 2

    private let signer: IdentityKey
    private let seal: SealingKey
    /// Whose record it is for; nil for anybody's.
    private let nodeID: NodeID?

    /// The slot of a member.
    ///
    /// - Returns: `nil` never; the key's length is right.
    package init?(of nodeID: NodeID, in realm: RealmKey, epoch: RealmEpoch) {
        self.init("record-member", epoch.bytes + nodeID.bytes, in: realm, of: nodeID)
    }

    /// Those that announce themselves share slots with nobody else.
    package enum Family: String, Sendable {
        case members = "record-announce"
    }

    /// One of those in which members announce themselves.
    ///
    /// - Returns: `nil` never, as above.
    package init?(announcing number: UInt8, of family: Family, in realm: RealmKey, epoch: RealmEpoch) {
        self.init(family.rawValue, epoch.bytes + [number], in: realm, of: nil)
    }

    private init?(_ label: String, _ info: [UInt8], in realm: RealmKey, of nodeID: NodeID?) {
        guard let signer = realm.deriveIdentity(label: label, info: info) else { return nil }
        self.signer = signer
        seal = realm.deriveSealingKey(label: label + "-seal", info: info)
        self.nodeID = nodeID
    }

    /// What the store is asked for.
    package var key: [UInt8] { signer.publicKey.data }

    /// - Parameters:
    ///   - envelope: the node's own signed record.
    ///   - seq: that of the record; in an announce slot the time, or more where what stands there has more. A member's records
    ///     may be numbered from a future that its clock has seen once, and would block the slot for all others.
    /// - Returns: `nil` where the envelope is longer than there is room.
    package func item(sealing envelope: [UInt8], seq: UInt64, random: RandomSource) -> MutableItem? {
        guard envelope.count <= Self.contentLength, let seq = Int64(exactly: seq) else { return nil }
        let padding = [UInt8](repeating: 0, count: Self.contentLength - envelope.count)
        let plain = [UInt8(envelope.count >> 8), UInt8(envelope.count & 0xff)] + envelope + padding
        let sealed = seal.seal(plain, context: key, nonce: random.bytes(SealingKey.nonceLength))
        let value = Array("\(sealed.count):".utf8) + sealed
        // Every length is within its limit.
        return try? MutableItem(by: signer, salt: [], seq: seq, value: value)
    }

    /// The member's record in an item that was found, if it is one.
    package func record(in item: MutableItem) -> PeerRecord? {
        // Of any length: what others write may be longer.
        guard item.publicKey == key, item.salt.isEmpty, let colon = item.value.firstIndex(of: UInt8(ascii: ":")),
            item.value.starts(with: Array("\(item.value.count - colon - 1):".utf8)), item.isSigned,
            let plain = seal.open([UInt8](item.value[(colon + 1)...]), context: key), plain.count >= 2
        else { return nil }
        let length = Int(plain[0]) << 8 | Int(plain[1])
        guard length <= plain.count - 2 else { return nil }
        // What a member made up is no record of another's.
        guard let record = try? PeerRecord.open([UInt8](plain[2..<2 + length])), isWanted(record, in: item) else {
            return nil
        }
        return record
    }

    private func isWanted(_ record: PeerRecord, in item: MutableItem) -> Bool {
        guard let nodeID else { return true }
        return record.nodeID == nodeID && item.seq == Int64(exactly: record.seq)
    }
}
