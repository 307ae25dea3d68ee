internal import CDeP2POpenSSL
internal import CDeP2PSodium

extension PublicKey {
    /// Whether `signature` was made by this key over `message`: Ed25519 (RFC 8032, strict as libsodium is), RSA
    /// PKCS#1 v1.5 with SHA-256, or ECDSA in DER with SHA-256. False on a malformed signature.
    package func isValidSignature(_ signature: [UInt8], for message: [UInt8]) -> Bool {
        switch kind {
        case .ed25519:
            guard signature.count == Int(crypto_sign_BYTES) else { return false }
            return crypto_sign_verify_detached(signature, message, UInt64(message.count), data) == 0
        case .rsa: return Self.verify(signature, message, subjectPublicKeyInfo: data)
        case .ecdsa: return Self.verify(signature, message, subjectPublicKeyInfo: data)
        case .secp256k1:
            return Self.verify(signature, message, subjectPublicKeyInfo: Self.secp256k1Prefix + data)
        }
    }

    /// Whose signature it is. Where it is one of an Ed25519 key, that is all there is to check: libsodium refuses signatures by
    /// what is no key.
    ///
    /// - Parameter bytes: the protobuf `PublicKey`.
    /// - Returns: `nil` where the key is one and did not make the signature.
    package static func signer(
        protobuf bytes: [UInt8], of message: [UInt8], signature: [UInt8]
    ) throws(IdentityError) -> PublicKey? {
        let (kind, data) = try fields(ofProtobuf: bytes)
        if kind == .ed25519, data.count == Int(crypto_core_ed25519_BYTES) {
            let key = PublicKey(trusted: kind, data: data)
            if key.isValidSignature(signature, for: message) { return key }
        }
        let key = try PublicKey(kind: kind, data: data)
        return kind != .ed25519 && key.isValidSignature(signature, for: message) ? key : nil
    }

    /// A DER SubjectPublicKeyInfo (RFC 5480) for a compressed secp256k1 point, up to the point.
    private static let secp256k1Prefix: [UInt8] = [
        0x30, 0x36, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04,
        0x00, 0x0a, 0x03, 0x22, 0x00,
    ]

    /// OpenSSL spends seconds on an RSA check with a larger modulus, and a peer chooses the key.
    private static let rsaBits = 2048...8192
    /// A larger public exponent only slows the check down; every implementation makes 65537.
    private static let maximumRSAExponent: UInt = 0xffff_ffff

    static func check(_ kind: KeyKind, _ data: [UInt8]) throws(IdentityError) {
        switch kind {
        case .ed25519: try checkEd25519(data)
        case .secp256k1: try checkSecp256k1(data)
        case .ecdsa: try checkP256(data)
        case .rsa: try checkRSA(data)
        }
    }

    private static func checkEd25519(_ data: [UInt8]) throws(IdentityError) {
        Sodium.prepare()
        guard data.count == Int(crypto_core_ed25519_BYTES) else {
            throw IdentityError(.malformedPublicKey, "an Ed25519 key has 32 bytes, not \(data.count)")
        }
        // A point of the curve plus the neutral one is itself, in canonical form. Whether it is in the group of the base point
        // is not asked: that takes as long as checking a signature, and who makes a key that is not harms nobody but himself.
        var sum = [UInt8](repeating: 0, count: data.count)
        guard crypto_core_ed25519_add(&sum, data, smallOrder[0]) == 0, sum == data, !smallOrder.contains(data) else {
            throw IdentityError(.malformedPublicKey, "these 32 bytes are not an Ed25519 key")
        }
    }

    /// The points of order 1, 2, 4 and 8, the neutral one first: with them as a key, one signature fits many messages.
    private static let smallOrder: [[UInt8]] = [
        [1] + [UInt8](repeating: 0, count: 31),
        [0xec] + [UInt8](repeating: 0xff, count: 30) + [0x7f],
        [UInt8](repeating: 0, count: 32),
        [UInt8](repeating: 0, count: 31) + [0x80],
        ofOrderEight(0xc7, 0x7a), ofOrderEight(0xc7, 0xfa), ofOrderEight(0x26, 0x05), ofOrderEight(0x26, 0x85),
    ]

    /// The two heights at which such points are are each the other's negative.
    private static func ofOrderEight(_ first: UInt8, _ last: UInt8) -> [UInt8] {
        let height: [UInt8] = [
            0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20, 0x53,
            0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03,
        ]
        return [first] + (first == 0xc7 ? height : height.map { ~$0 }) + [last]
    }

    private static func checkSecp256k1(_ data: [UInt8]) throws(IdentityError) {
        guard data.count == 33, data[0] == 2 || data[0] == 3, let key = key(fromDER: secp256k1Prefix + data) else {
            throw IdentityError(.malformedPublicKey, "these bytes are not a compressed secp256k1 key")
        }
        EVP_PKEY_free(key)
    }

    private static func checkP256(_ data: [UInt8]) throws(IdentityError) {
        guard let key = key(fromDER: data) else {
            throw IdentityError(.malformedPublicKey, "these bytes are not an ECDSA key in canonical DER")
        }
        defer { EVP_PKEY_free(key) }
        var name = [CChar](repeating: 0, count: 32)
        var length = 0
        guard EVP_PKEY_get_group_name(key, &name, name.count, &length) == 1,
            name.prefix(length).elementsEqual("prime256v1".utf8.map(CChar.init(bitPattern:)))
        else {
            throw IdentityError(.unsupportedKeyType, "an ECDSA key must be on the curve P-256")
        }
    }

    private static func checkRSA(_ data: [UInt8]) throws(IdentityError) {
        guard let key = key(fromDER: data), EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA else {
            throw IdentityError(.malformedPublicKey, "these bytes are not an RSA key in canonical DER")
        }
        defer { EVP_PKEY_free(key) }
        let bits = Int(EVP_PKEY_get_bits(key))
        var exponent: OpaquePointer?
        let hasExponent = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &exponent) == 1
        defer { BN_free(exponent) }
        // BN_get_word gives all ones for a number that does not fit.
        guard rsaBits.contains(bits), hasExponent, BN_get_word(exponent) <= maximumRSAExponent else {
            throw IdentityError(.unsupportedKeyType, "an RSA key must have 2048 to 8192 bits, not \(bits)")
        }
    }

    /// The key of a SubjectPublicKeyInfo that is in DER to the last byte, or nil.
    private static func key(fromDER data: [UInt8]) -> OpaquePointer? {
        defer { ERR_clear_error() }
        return data.withUnsafeBufferPointer { buffer in
            var position = buffer.baseAddress
            guard let key = d2i_PUBKEY(nil, &position, buffer.count) else { return nil }
            var encoded: UnsafeMutablePointer<UInt8>?
            let length = i2d_PUBKEY(key, &encoded)
            defer { CRYPTO_free(encoded, nil, 0) }
            // BER and trailing bytes would give one key several NodeIDs.
            guard length > 0, UnsafeBufferPointer(start: encoded, count: Int(length)).elementsEqual(buffer) else {
                EVP_PKEY_free(key)
                return nil
            }
            return key
        }
    }

    private static func verify(_ signature: [UInt8], _ message: [UInt8], subjectPublicKeyInfo: [UInt8]) -> Bool {
        defer { ERR_clear_error() }
        guard let key = key(fromDER: subjectPublicKeyInfo), let context = EVP_MD_CTX_new() else { return false }
        defer {
            EVP_MD_CTX_free(context)
            EVP_PKEY_free(key)
        }
        guard EVP_DigestVerifyInit(context, nil, EVP_sha256(), nil, key) == 1 else { return false }
        return EVP_DigestVerify(context, signature, signature.count, message, message.count) == 1
    }
}
