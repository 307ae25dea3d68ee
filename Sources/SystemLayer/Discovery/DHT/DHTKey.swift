package import DeP2PIdentity

/// A place in the DHT's space of 256 bits: the SHA-256 of a NodeID's bytes, or of a record's key (libp2p kad-dht, "Kademlia
/// Keyspace").
package struct DHTKey: Hashable, Sendable, CustomStringConvertible {
    package static let byteCount = 32
    /// Bits of a key, and so the longest prefix that two keys have in common.
    package static let bitCount = 256

    let bits: XORDistance

    init(bits: XORDistance) { self.bits = bits }

    /// Where `preimage` lies: a NodeID's bytes, or a record's key.
    package init(hashing preimage: [UInt8]) {
        self.init(bits: XORDistance(bigEndian: SHA256.hash(preimage).bytes))
    }

    package init(_ nodeID: NodeID) { self.init(hashing: nodeID.bytes) }

    /// Nil unless there are exactly 32 bytes.
    package init?(bytes: [UInt8]) {
        guard bytes.count == Self.byteCount else { return nil }
        self.init(bits: XORDistance(bigEndian: bytes))
    }

    package var bytes: [UInt8] { bits.bigEndianBytes }
    package var description: String { Hex.encode(bytes) }

    package func distance(to other: DHTKey) -> XORDistance { bits ^ other.bits }

    /// How many leading bits both have in common, up to 256.
    package func commonPrefixLength(with other: DHTKey) -> Int { distance(to: other).leadingZeroBitCount }

    /// A key anywhere in the space.
    package static func random(using random: inout some RandomNumberGenerator) -> DHTKey {
        DHTKey(bits: XORDistance(random.next(), random.next(), random.next(), random.next()))
    }

    /// A random key that has exactly `length` leading bits in common with this one; less than 256.
    package func random(sharing length: Int, using random: inout some RandomNumberGenerator) -> DHTKey {
        let tail = DHTKey.random(using: &random).bits.keeping(from: length + 1)
        let head = bits.keeping(to: length + 1)
        return DHTKey(bits: head ^ tail ^ XORDistance.bit(length))
    }

    /// One of its bits, counted from the most significant.
    package func bit(_ index: Int) -> Bool { bits & .bit(index) != .zero }

    /// This key's first `length` bits, and zeros.
    package func prefix(_ length: Int) -> DHTKey { DHTKey(bits: bits.keeping(to: length)) }

    /// The first 64 bits, as a fraction of the space: 0 ..< 1.
    package var fraction: Double { bits.fraction }
}

extension DHTKey: Comparable {
    package static func < (left: Self, right: Self) -> Bool { left.bits < right.bits }
}
