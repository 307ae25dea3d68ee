internal import CDeP2PSodium

/// Seals bytes so that who has the key alone reads them, and nobody changes them unseen: XChaCha20-Poly1305 (IETF), whose
/// nonces are long enough to be drawn.
package struct SealingKey: Sendable {
    /// What sealing adds: the nonce in front, the authenticator behind.
    package static let overhead = nonceLength + tagLength
    package static let nonceLength = 24
    private static let tagLength = 16

    private let secret: SecretBytes

    /// - Parameter bytes: 32; the caller's copy stays the caller's to wipe.
    fileprivate init(_ bytes: [UInt8]) { secret = SecretBytes(bytes) }

    /// - Parameters:
    ///   - context: what has to be the same when it is opened.
    ///   - nonce: 24 random bytes.
    package func seal(_ plain: [UInt8], context: [UInt8], nonce: [UInt8]) -> [UInt8] {
        precondition(nonce.count == Self.nonceLength)
        Sodium.prepare()
        var sealed = [UInt8](repeating: 0, count: plain.count + Self.tagLength)
        secret.withPointer { key in
            _ = crypto_aead_xchacha20poly1305_ietf_encrypt(
                &sealed, nil, plain, UInt64(plain.count), context, UInt64(context.count), nil, nonce, key)
        }
        return nonce + sealed
    }

    /// What was sealed; `nil` for what was not, with this key and for this context.
    package func open(_ sealed: [UInt8], context: [UInt8]) -> [UInt8]? {
        guard sealed.count >= Self.overhead else { return nil }
        Sodium.prepare()
        let body = [UInt8](sealed.dropFirst(Self.nonceLength))
        var plain = [UInt8](repeating: 0, count: body.count - Self.tagLength)
        let isGood = secret.withPointer { key in
            crypto_aead_xchacha20poly1305_ietf_decrypt(
                &plain, nil, nil, body, UInt64(body.count), context, UInt64(context.count),
                [UInt8](sealed.prefix(Self.nonceLength)), key) == 0
        }
        return isGood ? plain : nil
    }
}

extension RealmKey {
    /// As ``derive(label:info:count:)``: a key to seal with.
    package func deriveSealingKey(label: String, info: [UInt8]) -> SealingKey {
        var bytes = derive(label: label, info: info)
        defer { wipe(&bytes) }
        return SealingKey(bytes)
    }

    /// A pair of keys to sign with, which every member can make.
    package func deriveIdentity(label: String, info: [UInt8]) -> IdentityKey? {
        var seed = derive(label: label, info: info, count: IdentityKey.seedLength)
        defer { wipe(&seed) }
        // A seed of that length is one.
        return try? IdentityKey(seed: seed)
    }
}
