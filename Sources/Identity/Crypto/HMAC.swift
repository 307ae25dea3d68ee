internal import CDeP2PSodium

// libsodium's: HMAC of a short message takes 18,000 instructions beside 25,000 of OpenSSL's, and HKDF over it 35,000 beside
// 80,000, most of which OpenSSL spends on finding what it is to do. Each connection needs both. libsodium's own HKDF came
// with 1.0.19, which Debian 12 has not.

/// HMAC-SHA256 (RFC 2104), with any key length; 32 bytes.
package func hmacSHA256(key: [UInt8], message: [UInt8]) -> [UInt8] {
    // HMAC fills a short key up with zeros.
    (key.isEmpty ? [0] : key).withUnsafeBufferPointer { hmacSHA256(key: $0, message: message) }
}

/// As ``hmacSHA256(key:message:)``, of a key that lies in guarded memory, and is not empty.
func hmacSHA256(key: UnsafeBufferPointer<UInt8>, message: [UInt8]) -> [UInt8] {
    var state = crypto_auth_hmacsha256_state()
    defer { sodium_memzero(&state, MemoryLayout<crypto_auth_hmacsha256_state>.size) }
    var code = [UInt8](repeating: 0, count: SHA256.Digest.byteCount)
    guard let start = key.baseAddress else { preconditionFailure("a key of no bytes") }
    crypto_auth_hmacsha256_init(&state, start, key.count)
    crypto_auth_hmacsha256_update(&state, message, UInt64(message.count))
    crypto_auth_hmacsha256_final(&state, &code)
    return code
}

/// HMAC-SHA256 with one key for many messages: half of what a short message takes is spent on the key.
package struct HMACKey: Sendable {
    private let state: crypto_auth_hmacsha256_state

    package init(_ key: [UInt8]) {
        var state = crypto_auth_hmacsha256_state()
        crypto_auth_hmacsha256_init(&state, key, key.count)
        self.state = state
    }

    /// As ``hmacSHA256(key:message:)``.
    package func authenticate(_ message: [UInt8]) -> [UInt8] {
        var state = state
        var code = [UInt8](repeating: 0, count: SHA256.Digest.byteCount)
        crypto_auth_hmacsha256_update(&state, message, UInt64(message.count))
        crypto_auth_hmacsha256_final(&state, &code)
        return code
    }
}

/// HKDF-SHA256 (RFC 5869), extract then expand.
///
/// - Parameters:
///   - key: the input keying material; not empty.
///   - salt: may be empty, which RFC 5869 section 2.2 defines as 32 zero bytes.
///   - count: the bytes wanted, at most 255 * 32. Always a constant of the caller, never a number from a peer.
package func hkdfSHA256(key: [UInt8], salt: [UInt8], info: [UInt8], count: Int) -> [UInt8] {
    HKDF(key: key, salt: salt).expand(info: info, count: count)
}

/// HKDF-SHA256 with its first step taken, for several things from one key. Wiped when the last reference goes.
package final class HKDF {
    private var extracted: [UInt8]

    /// As of ``hkdfSHA256(key:salt:info:count:)``.
    package init(key: [UInt8], salt: [UInt8]) {
        extracted = hmacSHA256(key: salt, message: key)
    }

    deinit {
        wipe(&extracted)
    }

    package func expand(info: [UInt8], count: Int) -> [UInt8] {
        precondition((0...255 * SHA256.Digest.byteCount).contains(count), "HKDF-SHA256 gives at most 8160 bytes")
        var output: [UInt8] = []
        var block: [UInt8] = []
        while output.count < count {
            let index = UInt8(output.count / SHA256.Digest.byteCount + 1)
            block = hmacSHA256(key: extracted, message: block + info + [index])
            output += block
        }
        output.removeLast(output.count - count)
        return output
    }
}
