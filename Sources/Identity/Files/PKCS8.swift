internal import CDeP2POpenSSL

/// PKCS#8 private keys (RFC 5958) of Ed25519 (RFC 8410), plain and encrypted under a passphrase (PBES2, RFC 8018).
///
/// The plain form is 48 fixed bytes and handled here; OpenSSL does the rest: encryption, and telling what another key is.
enum PKCS8 {
    static let plainLabel = "PRIVATE KEY"
    static let encryptedLabel = "ENCRYPTED PRIVATE KEY"

    enum Failure: Error, Equatable {
        case malformed
        case otherKey(String)
        case wrongPassphrase
        /// OpenSSL failed where it should not.
        case library
    }

    /// scrypt: N = 2^14, r = 8, p = 5 (OWASP password storage), 16 MiB; OpenSSL reads no more than 32 MiB by default,
    /// and its own default for PKCS#8, 2048 rounds of PBKDF2, is no barrier any more.
    private static let scrypt: (n: UInt64, r: UInt64, p: UInt64) = (1 << 14, 8, 5)

    // SEQUENCE { INTEGER 0, SEQUENCE { OID 1.3.101.112 }, OCTET STRING { OCTET STRING (32) } }
    private static let prefix: [UInt8] = [
        0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
    ]

    static func encode(_ key: IdentityKey) -> [UInt8] {
        key.withSeed { prefix + $0 }
    }

    /// The caller wipes `der`.
    static func decode(_ der: [UInt8]) throws(Failure) -> IdentityKey {
        if var seed = plainSeed(der) {
            defer { wipe(&seed) }
            return try key(seed: seed)
        }
        defer { ERR_clear_error() }
        guard let information = parse(der, d2i_PKCS8_PRIV_KEY_INFO, PKCS8_PRIV_KEY_INFO_free) else { throw .malformed }
        defer { PKCS8_PRIV_KEY_INFO_free(information) }
        return try key(information)
    }

    /// The seed of version 1, or of version 2, where attributes and the public key may follow (RFC 5958 section 2);
    /// OpenSSL 3.0 does not read the latter.
    private static func plainSeed(_ der: [UInt8]) -> [UInt8]? {
        let end = prefix.count + IdentityKey.seedLength
        guard der.count >= end, der[0] == 0x30, der[1] < 0x80, Int(der[1]) == der.count - 2 else { return nil }
        guard der[2] == 2, der[3] == 1, der[4] == 1 || (der[4] == 0 && der.count == end) else { return nil }
        return der[5..<prefix.count].elementsEqual(prefix[5...]) ? [UInt8](der[prefix.count..<end]) : nil
    }

    static func encrypt(_ key: IdentityKey, passphrase: [UInt8]) throws(Failure) -> [UInt8] {
        defer { ERR_clear_error() }
        var der = encode(key)
        defer { wipe(&der) }
        guard let information = parse(der, d2i_PKCS8_PRIV_KEY_INFO, PKCS8_PRIV_KEY_INFO_free) else { throw .library }
        defer { PKCS8_PRIV_KEY_INFO_free(information) }
        guard
            let algorithm = PKCS5_pbe2_set_scrypt(
                EVP_aes_256_cbc(), nil, 0, nil, scrypt.n, scrypt.r, scrypt.p)
        else { throw .library }
        // On success the result owns the algorithm.
        guard let sealed = withCharacters(passphrase, { PKCS8_set0_pbe($0, $1, information, algorithm) }) else {
            X509_ALGOR_free(algorithm)
            throw .library
        }
        defer { X509_SIG_free(sealed) }
        var encoded: UnsafeMutablePointer<UInt8>?
        let length = i2d_X509_SIG(sealed, &encoded)
        defer { CRYPTO_free(encoded, nil, 0) }
        guard length > 0 else { throw .library }
        return [UInt8](UnsafeBufferPointer(start: encoded, count: Int(length)))
    }

    static func decrypt(_ der: [UInt8], passphrase: [UInt8]) throws(Failure) -> IdentityKey {
        defer { ERR_clear_error() }
        guard let sealed = parse(der, d2i_X509_SIG, X509_SIG_free) else { throw .malformed }
        defer { X509_SIG_free(sealed) }
        // A wrong passphrase shows as bad padding, or once in 256 times as plain text that is no key: both end here.
        guard let information = withCharacters(passphrase, { PKCS8_decrypt(sealed, $0, $1) }) else {
            throw .wrongPassphrase
        }
        defer { PKCS8_PRIV_KEY_INFO_free(information) }
        return try key(information)
    }

    /// What one of OpenSSL's `d2i` functions makes of the whole of `der`, or nil.
    private static func parse(
        _ der: [UInt8],
        _ decode: (UnsafeMutablePointer<OpaquePointer?>?, UnsafeMutablePointer<UnsafePointer<UInt8>?>?, Int) ->
            OpaquePointer?,
        _ free: (OpaquePointer?) -> Void
    ) -> OpaquePointer? {
        der.withUnsafeBufferPointer { buffer in
            var position = buffer.baseAddress
            guard let value = decode(nil, &position, buffer.count) else { return nil }
            if position == buffer.baseAddress?.advanced(by: buffer.count) { return value }
            free(value)
            return nil
        }
    }

    private static func key(_ information: OpaquePointer) throws(Failure) -> IdentityKey {
        guard let key = EVP_PKCS82PKEY(information) else { throw .malformed }
        defer { EVP_PKEY_free(key) }
        guard EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 else {
            let name = EVP_PKEY_get0_type_name(key).map { String(cString: $0) }
            throw .otherKey(name ?? "unknown")
        }
        var seed = [UInt8](repeating: 0, count: IdentityKey.seedLength)
        defer { wipe(&seed) }
        var length = seed.count
        guard EVP_PKEY_get_raw_private_key(key, &seed, &length) == 1, length == seed.count else { throw .library }
        return try self.key(seed: seed)
    }

    private static func key(seed: [UInt8]) throws(Failure) -> IdentityKey {
        do {
            return try IdentityKey(seed: seed)
        } catch {
            throw .malformed
        }
    }

    private static func withCharacters<Result>(
        _ passphrase: [UInt8], _ body: (UnsafePointer<CChar>?, Int32) -> Result
    ) -> Result {
        passphrase.withUnsafeBytes { body($0.bindMemory(to: CChar.self).baseAddress, Int32($0.count)) }
    }
}
