internal import COpenSSL

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

    static func decode(_ der: [UInt8]) throws(Failure) -> IdentityKey {
        var der = der
        defer { wipe(&der) }
        if der.count == prefix.count + IdentityKey.seedLength, der.starts(with: prefix) {
            return try key(seed: [UInt8](der.dropFirst(prefix.count)))
        }
        defer { ERR_clear_error() }
        let information = der.withUnsafeBufferPointer { buffer in
            var position = buffer.baseAddress
            return d2i_PKCS8_PRIV_KEY_INFO(nil, &position, buffer.count)
        }
        guard let information else { throw .malformed }
        defer { PKCS8_PRIV_KEY_INFO_free(information) }
        return try key(information)
    }

    static func encrypt(_ key: IdentityKey, passphrase: [UInt8]) throws(Failure) -> [UInt8] {
        defer { ERR_clear_error() }
        var der = encode(key)
        defer { wipe(&der) }
        let information = der.withUnsafeBufferPointer { buffer in
            var position = buffer.baseAddress
            return d2i_PKCS8_PRIV_KEY_INFO(nil, &position, buffer.count)
        }
        guard let information else { throw .library }
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
        defer { CRYPTO_free(encoded, #file, #line) }
        guard length > 0 else { throw .library }
        return [UInt8](UnsafeBufferPointer(start: encoded, count: Int(length)))
    }

    static func decrypt(_ der: [UInt8], passphrase: [UInt8]) throws(Failure) -> IdentityKey {
        defer { ERR_clear_error() }
        let sealed = der.withUnsafeBufferPointer { buffer in
            var position = buffer.baseAddress
            return d2i_X509_SIG(nil, &position, buffer.count)
        }
        guard let sealed else { throw .malformed }
        defer { X509_SIG_free(sealed) }
        // A wrong passphrase shows as bad padding, or once in 256 times as plain text that is no key: both end here.
        guard let information = withCharacters(passphrase, { PKCS8_decrypt(sealed, $0, $1) }) else {
            throw .wrongPassphrase
        }
        defer { PKCS8_PRIV_KEY_INFO_free(information) }
        return try key(information)
    }

    private static func key(_ information: OpaquePointer) throws(Failure) -> IdentityKey {
        guard let key = EVP_PKCS82PKEY(information) else { throw .malformed }
        defer { EVP_PKEY_free(key) }
        guard EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 else {
            let name = EVP_PKEY_get0_type_name(key).map { String(cString: $0) }
            throw .otherKey(name ?? "unknown")
        }
        var seed = [UInt8](repeating: 0, count: IdentityKey.seedLength)
        var length = seed.count
        guard EVP_PKEY_get_raw_private_key(key, &seed, &length) == 1, length == seed.count else { throw .library }
        return try self.key(seed: seed)
    }

    private static func key(seed: [UInt8]) throws(Failure) -> IdentityKey {
        var seed = seed
        defer { wipe(&seed) }
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
