internal import CDeP2PSodium

/// A node's private key: Ed25519. It is kept in guarded memory and wiped with the last reference; nothing prints it.
public final class IdentityKey: Sendable, CustomStringConvertible {
    /// The length of a seed, in bytes.
    package static let seedLength = 32

    package let publicKey: PublicKey
    public let nodeID: NodeID
    /// libsodium's form of the private key: seed, then public key.
    private let secret: SecretBytes

    private init(secret: SecretBytes) {
        let publicKey = PublicKey(
            trusted: .ed25519, data: secret.withBytes { [UInt8]($0.dropFirst(IdentityKey.seedLength)) })
        self.secret = secret
        self.publicKey = publicKey
        nodeID = NodeID(publicKey)
    }

    /// A new key from the system's randomness.
    public static func generate() -> IdentityKey { generate(from: .system) }

    /// A new key from this randomness.
    package static func generate(from random: RandomSource) -> IdentityKey {
        var seed = random.bytes(seedLength)
        defer { wipe(&seed) }
        return IdentityKey(secret: expand(seed))
    }

    /// - Parameter seed: the 32 byte private key of RFC 8032. The caller's copy stays the caller's to wipe.
    /// - Throws: `malformedSeed` for another length.
    package convenience init(seed: [UInt8]) throws(IdentityError) {
        guard seed.count == Self.seedLength else {
            throw IdentityError(.malformedSeed, "an Ed25519 seed has 32 bytes, not \(seed.count)")
        }
        self.init(secret: Self.expand(seed))
    }

    private static func expand(_ seed: [UInt8]) -> SecretBytes {
        var publicKey = [UInt8](repeating: 0, count: Int(crypto_sign_PUBLICKEYBYTES))
        var secretKey = [UInt8](repeating: 0, count: Int(crypto_sign_SECRETKEYBYTES))
        defer { wipe(&secretKey) }
        Sodium.prepare()
        crypto_sign_seed_keypair(&publicKey, &secretKey, seed)
        return SecretBytes(secretKey)
    }

    /// The 64 byte Ed25519 signature of `message`.
    package func sign(_ message: [UInt8]) -> [UInt8] {
        var signature = [UInt8](repeating: 0, count: Int(crypto_sign_BYTES))
        secret.withPointer { key in
            _ = crypto_sign_detached(&signature, nil, message, UInt64(message.count), key)
        }
        return signature
    }

    /// Lends the 32 byte seed to write a key file. `body` must not keep it.
    func withSeed<Result>(_ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
        secret.withBytes { body(UnsafeBufferPointer(rebasing: $0.prefix(Self.seedLength))) }
    }

    public var description: String { "identity key of \(nodeID)" }
}
