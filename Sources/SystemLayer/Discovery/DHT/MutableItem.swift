package import DeP2PIdentity

/// A record that its signer may replace (BEP 44, "Mutable Items"): the same bytes in our DHT and in BitTorrent's.
///
/// Its key is the SHA-256 of public key and salt here, their SHA-1 there.
package struct MutableItem: Hashable, Sendable {
    /// Bytes of a value, a bencoded one.
    package static let valueLimit = 1_000
    package static let saltLimit = 64
    package static let publicKeyLength = 32
    package static let signatureLength = 64

    package let publicKey: [UInt8]
    package let salt: [UInt8]
    package let seq: Int64
    /// Bencoded, as it is signed.
    package let value: [UInt8]
    package let signature: [UInt8]

    /// - Throws: ``RecordRefusal`` where a length is beyond its limit or `seq` is negative. The signature is looked at by
    ///   ``isSigned``: it costs the most.
    package init(
        publicKey: [UInt8], salt: [UInt8], seq: Int64, value: [UInt8], signature: [UInt8]
    ) throws(RecordRefusal) {
        guard value.count <= Self.valueLimit else { throw .valueTooLong }
        guard publicKey.count == Self.publicKeyLength, signature.count == Self.signatureLength,
            salt.count <= Self.saltLimit, seq >= 0, !value.isEmpty
        else { throw .malformed }
        (self.publicKey, self.salt, self.seq) = (publicKey, salt, seq)
        (self.value, self.signature) = (value, signature)
    }

    /// Made and signed here.
    package init(by key: IdentityKey, salt: [UInt8], seq: Int64, value: [UInt8]) throws(RecordRefusal) {
        let signature = key.sign(Self.signedBytes(salt: salt, seq: seq, value: value))
        try self.init(publicKey: key.publicKey.data, salt: salt, seq: seq, value: value, signature: signature)
    }

    package var key: DHTKey { Self.key(publicKey: publicKey, salt: salt) }

    package static func key(publicKey: [UInt8], salt: [UInt8]) -> DHTKey { DHTKey(hashing: publicKey + salt) }

    /// Whether the signature is the public key's. Costs a curve check and a verification.
    package var isSigned: Bool {
        // What is no key has signed nothing.
        guard let key = try? PublicKey(kind: .ed25519, data: publicKey) else { return false }
        return key.isValidSignature(signature, for: Self.signedBytes(salt: salt, seq: seq, value: value))
    }

    /// Whether a node that has `old` takes this one: it is newer, or the same again.
    package func replaces(_ old: MutableItem) -> Bool { seq > old.seq || seq == old.seq && value == old.value }

    /// What is signed: the bencoded entries `salt`, unless it is empty, `seq` and `v`, without the dictionary round them.
    static func signedBytes(salt: [UInt8], seq: Int64, value: [UInt8]) -> [UInt8] {
        let saltEntry = salt.isEmpty ? [] : Array("4:salt\(salt.count):".utf8) + salt
        return saltEntry + Array("3:seqi\(seq)e1:v".utf8) + value
    }
}

/// Why a record is not stored; the numbers travel.
package enum RecordRefusal: UInt32, Error, Hashable, Sendable, CaseIterable {
    case malformed = 1
    case valueTooLong = 2
    case badSignature = 3
    /// The token is not this node's, of another key or asker, or too old.
    case badToken = 4
    /// A newer one is stored, or another one with the same number.
    case staleSequence = 5
    /// As many are stored as one key, one publisher or one subnet may have.
    case keyIsFull = 6
    case publisherIsFull = 7
    case subnetIsFull = 8
    /// The store is full of records nearer to this node.
    case storeIsFull = 9
    /// Many nodes are nearer to the key than this one.
    case tooFar = 10
}
