/// The key types of libp2p, with their numbers in the protobuf `KeyType` (libp2p peer-ids, "Keys").
package enum KeyKind: Int, Sendable, CaseIterable {
    case rsa = 0
    case ed25519 = 1
    case secp256k1 = 2
    case ecdsa = 3
}

/// A public key of any libp2p node, checked to be one when made.
///
/// `data` is what the protobuf `Data` field holds (libp2p peer-ids, "Key Types"): 32 bytes for Ed25519, the 33 byte
/// compressed point for secp256k1, the DER SubjectPublicKeyInfo for RSA and for ECDSA on P-256. Only the canonical form
/// of a key is accepted, so that equal keys have equal bytes and one NodeID.
package struct PublicKey: Hashable, Sendable {
    /// The longest `data` accepted, in bytes: an RSA key of 8192 bits has 1062.
    package static let maximumDataLength = 1100

    package let kind: KeyKind
    package let data: [UInt8]

    /// - Throws: `malformedPublicKey` when the bytes are no key of that kind, small-order and non-canonical Ed25519
    ///   points among them (but not those outside the base point's group); `unsupportedKeyType` for an ECDSA curve other than P-256 or an RSA key that is not
    ///   2048 to 8192 bits.
    package init(kind: KeyKind, data: [UInt8]) throws(IdentityError) {
        guard data.count <= Self.maximumDataLength else {
            throw IdentityError(
                .malformedPublicKey, "a public key of \(data.count) bytes is longer than any known kind")
        }
        try Self.check(kind, data)
        self.kind = kind
        self.data = data
    }

    /// From the protobuf `PublicKey`, which must be encoded exactly as libp2p prescribes: both fields, in order, in
    /// shortest form, nothing else.
    package init(protobuf bytes: [UInt8]) throws(IdentityError) {
        let (kind, data) = try Self.fields(ofProtobuf: bytes)
        try self.init(kind: kind, data: data)
    }

    /// Of a key known to be good, as the ones made here are.
    init(trusted kind: KeyKind, data: [UInt8]) {
        self.kind = kind
        self.data = data
    }

    /// The deterministic protobuf encoding: what is hashed for the NodeID and carried in certificates and envelopes.
    package var protobuf: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(data.count + 5)
        Protobuf.append(field: 1, varint: UInt64(kind.rawValue), to: &bytes)
        Protobuf.append(field: 2, bytes: data, to: &bytes)
        return bytes
    }

    package var nodeID: NodeID { NodeID(self) }

    /// Splits the encoding without looking at the key itself.
    static func fields(ofProtobuf bytes: [UInt8]) throws(IdentityError) -> (KeyKind, [UInt8]) {
        var reader = ByteReader(bytes)
        guard reader.byte() == 0x08, let number = reader.varint() else {
            throw IdentityError(.malformedPublicKey, "a public key does not begin with its type")
        }
        guard let kind = Int(exactly: number).flatMap(KeyKind.init(rawValue:)) else {
            throw IdentityError(.unsupportedKeyType, "key type \(number) is not known")
        }
        guard reader.byte() == 0x12, let data = reader.lengthPrefixed(), reader.isAtEnd else {
            throw IdentityError(.malformedPublicKey, "a public key is not in its canonical encoding")
        }
        return (kind, data)
    }
}
