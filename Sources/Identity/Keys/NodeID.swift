/// The name of a node: the libp2p peer id of its key (libp2p peer-ids, "Peer Ids").
///
/// Only the canonical form exists: the identity multihash of the key's protobuf when that has at most 42 bytes, as for
/// every Ed25519 key, the SHA-256 multihash of it otherwise. So equal nodes compare equal byte by byte.
public struct NodeID: Hashable, Sendable, Comparable {
    /// Keys whose protobuf is longer than this are hashed.
    static let maximumInlineLength = 42
    /// The longest multihash, in bytes.
    package static let maximumLength = 44

    private static let identityCode: UInt8 = 0x00
    private static let sha256Code: UInt8 = 0x12

    /// The multihash: 38 bytes for an Ed25519 key, at most 44.
    package let bytes: [UInt8]
    /// A digest of all of them, made once: a connection looks its peer up thirty times. Keyed anew in each process
    /// (`Hasher`), as a stranger can name as many nodes as he likes, and seeks those that would collide.
    private let digest: Int

    package init(_ key: PublicKey) {
        let encoded = key.protobuf
        self.init(
            canonical: encoded.count <= Self.maximumInlineLength
                ? [Self.identityCode, UInt8(encoded.count)] + encoded
                : [Self.sha256Code, UInt8(SHA256.Digest.byteCount)] + SHA256.hash(encoded).bytes)
    }

    private init(canonical bytes: [UInt8]) {
        self.bytes = bytes
        var hasher = Hasher()
        // In one piece: an array is hashed byte by byte.
        bytes.withUnsafeBytes { hasher.combine(bytes: $0) }
        digest = hasher.finalize()
    }

    /// - Throws: `malformedNodeID` for anything but a canonical multihash. A key within is checked for its form here,
    ///   for being a point of the curve only by ``publicKey``.
    package init(bytes: [UInt8]) throws(IdentityError) {
        guard (2...Self.maximumLength).contains(bytes.count), Int(bytes[1]) == bytes.count - 2 else {
            throw IdentityError(.malformedNodeID, "a node ID must be a multihash of at most 44 bytes")
        }
        switch bytes[0] {
        case Self.identityCode:
            // The decoder's own words say no more than the error does.
            guard let (kind, data) = try? PublicKey.fields(ofProtobuf: [UInt8](bytes.dropFirst(2))),
                data.count == Self.inlineLength(of: kind)
            else {
                throw IdentityError(.malformedNodeID, "a node ID holds something that is not a public key")
            }
        case Self.sha256Code where bytes.count == 2 + SHA256.Digest.byteCount:
            break
        default:
            throw IdentityError(.malformedNodeID, "a node ID must be an identity or SHA-256 multihash")
        }
        self.init(canonical: bytes)
    }

    /// The key, when it is short enough to be inside the ID and really is one. Costs a curve check.
    package var publicKey: PublicKey? {
        guard bytes[0] == Self.identityCode else { return nil }
        // An ID that holds no key is one all the same.
        return try? PublicKey(protobuf: [UInt8](bytes.dropFirst(2)))
    }

    public func hash(into hasher: inout Hasher) { hasher.combine(digest) }

    public static func == (left: NodeID, right: NodeID) -> Bool {
        left.digest == right.digest && left.bytes == right.bytes
    }

    public static func < (left: NodeID, right: NodeID) -> Bool {
        left.bytes.lexicographicallyPrecedes(right.bytes)
    }

    private static func inlineLength(of kind: KeyKind) -> Int? {
        switch kind {
        case .ed25519: 32
        case .secp256k1: 33
        case .rsa, .ecdsa: nil
        }
    }
}
