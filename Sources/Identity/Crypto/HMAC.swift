internal import COpenSSL

/// HMAC-SHA256 (RFC 2104), with any key length; 32 bytes.
package func hmacSHA256(key: [UInt8], message: [UInt8]) -> [UInt8] {
    key.withUnsafeBufferPointer { hmacSHA256(key: $0, message: message) }
}

/// As ``hmacSHA256(key:message:)``, of a key that lies in guarded memory.
func hmacSHA256(key: UnsafeBufferPointer<UInt8>, message: [UInt8]) -> [UInt8] {
    var code = [UInt8](repeating: 0, count: SHA256.Digest.byteCount)
    let written = HMAC(
        EVP_sha256(), key.baseAddress, Int32(key.count), message, message.count, &code, nil)
    precondition(written != nil, "OpenSSL has HMAC-SHA256")
    return code
}

/// HKDF-SHA256 (RFC 5869), extract then expand.
///
/// - Parameters:
///   - key: the input keying material; not empty.
///   - salt: may be empty, which RFC 5869 section 2.2 defines as 32 zero bytes.
///   - count: the bytes wanted, at most 255 * 32. Always a constant of the caller, never a number from a peer.
package func hkdfSHA256(key: [UInt8], salt: [UInt8], info: [UInt8], count: Int) -> [UInt8] {
    precondition((0...255 * SHA256.Digest.byteCount).contains(count), "HKDF-SHA256 gives at most 8160 bytes")
    guard count > 0 else { return [] }
    let context = EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, nil)
    defer { EVP_PKEY_CTX_free(context) }
    var output = [UInt8](repeating: 0, count: count)
    var length = count
    let isDerived =
        EVP_PKEY_derive_init(context) > 0 && EVP_PKEY_CTX_set_hkdf_md(context, EVP_sha256()) > 0
        && (salt.isEmpty || EVP_PKEY_CTX_set1_hkdf_salt(context, salt, Int32(salt.count)) > 0)
        && EVP_PKEY_CTX_set1_hkdf_key(context, key, Int32(key.count)) > 0
        && (info.isEmpty || EVP_PKEY_CTX_add1_hkdf_info(context, info, Int32(info.count)) > 0)
        && EVP_PKEY_derive(context, &output, &length) > 0
    precondition(isDerived && length == count, "OpenSSL has HKDF-SHA256")
    return output
}
