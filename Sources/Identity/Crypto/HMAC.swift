// Two hashes over a padded key (RFC 2104 section 2), by the functions that `SHA256` calls. A connection needs seven:
// libsodium's hash is software on every processor, and OpenSSL's HMAC and HKDF spend most of their time on finding what they
// are to do.

/// HMAC-SHA256 (RFC 2104), with any key length; 32 bytes.
package func hmacSHA256(key: [UInt8], message: [UInt8]) -> [UInt8] {
    key.withUnsafeBufferPointer { hmacSHA256(key: $0, message: message) }
}

/// As ``hmacSHA256(key:message:)``, of a key that lies in guarded memory.
func hmacSHA256(key: UnsafeBufferPointer<UInt8>, message: [UInt8]) -> [UInt8] {
    var keyed = HMACKey(guarded: key)
    defer { keyed.wipe() }
    return keyed.authenticate(message)
}

/// HMAC-SHA256 with one key for many messages: half of what a short message takes is spent on the key.
package struct HMACKey: Sendable {
    private static let blockSize = 64

    /// What comes of the key's block, padded for the hash of the message, and for the hash of that.
    private var inner = SHA256()
    private var outer = SHA256()

    package init(_ key: [UInt8]) {
        self = key.withUnsafeBufferPointer { HMACKey(guarded: $0) }
    }

    fileprivate init(guarded key: UnsafeBufferPointer<UInt8>) {
        // A longer key is hashed, a shorter one filled up with zeros.
        var block = [UInt8](repeating: 0, count: Self.blockSize)
        if key.count > Self.blockSize {
            for (index, byte) in SHA256.hash(key.span.bytes).bytes.enumerated() { block[index] = byte }
        } else {
            for (index, byte) in key.enumerated() { block[index] = byte }
        }
        for index in block.indices { block[index] ^= 0x36 }
        inner.update(block)
        for index in block.indices { block[index] ^= 0x36 ^ 0x5c }
        outer.update(block)
        DeP2PIdentity.wipe(&block)
    }

    /// As ``hmacSHA256(key:message:)``.
    package func authenticate(_ message: [UInt8]) -> [UInt8] {
        var keyed = self
        defer { keyed.wipe() }
        keyed.inner.update(message)
        keyed.outer.update(keyed.inner.finalize())
        return keyed.outer.finalize().bytes
    }

    fileprivate mutating func wipe() {
        inner.wipe()
        outer.wipe()
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
