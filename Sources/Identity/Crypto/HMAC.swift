/// HMAC-SHA256 (RFC 2104), with any key length; 32 bytes.
public func hmacSHA256(key: [UInt8], message: [UInt8]) -> [UInt8] {
    var mac = key.withUnsafeBufferPointer { HMACKey($0) }
    defer { mac.wipe() }
    return mac.authenticate(message)
}

/// HKDF-SHA256 (RFC 5869), extract then expand.
///
/// - Parameters:
///   - key: the input keying material.
///   - salt: may be empty, which RFC 5869 section 2.2 defines as 32 zero bytes.
///   - count: the bytes wanted, at most 255 * 32. Always a constant of the caller, never a number from a peer.
public func hkdfSHA256(key: [UInt8], salt: [UInt8], info: [UInt8], count: Int) -> [UInt8] {
    precondition((0...255 * SHA256.Digest.byteCount).contains(count), "HKDF-SHA256 gives at most 8160 bytes")
    var pseudorandomKey = hmacSHA256(key: salt, message: key)
    defer { wipe(&pseudorandomKey) }
    var mac = pseudorandomKey.withUnsafeBufferPointer { HMACKey($0) }
    defer { mac.wipe() }
    var output: [UInt8] = []
    output.reserveCapacity(count + SHA256.Digest.byteCount)
    var block: [UInt8] = []
    defer { wipe(&block) }
    var counter: UInt8 = 1
    while output.count < count {
        block = mac.authenticate(block + info + [counter])
        output += block
        counter &+= 1
    }
    output.removeLast(output.count - count)
    return output
}

/// A key with both pads already hashed, for many messages under one key.
struct HMACKey {
    private var inner: SHA256
    private var outer: SHA256

    init(_ key: UnsafeBufferPointer<UInt8>) {
        let blockSize = 64
        // Full-sized from the start: an array that grows leaves a copy of the key behind.
        var block = [UInt8](repeating: 0, count: blockSize)
        if key.count > blockSize {
            var hashed = SHA256.hash(Array(key)).bytes
            block.replaceSubrange(0..<hashed.count, with: hashed)
            Identity.wipe(&hashed)
        } else {
            for index in key.indices { block[index] = key[index] }
        }
        var pad = block.map { $0 ^ 0x36 }
        var inner = SHA256()
        inner.update(pad)
        for index in pad.indices { pad[index] = block[index] ^ 0x5c }
        var outer = SHA256()
        outer.update(pad)
        Identity.wipe(&pad)
        Identity.wipe(&block)
        self.inner = inner
        self.outer = outer
    }

    /// The states after the pads are as good as the key.
    mutating func wipe() {
        inner.wipe()
        outer.wipe()
    }

    func authenticate(_ message: [UInt8]) -> [UInt8] {
        var inner = inner
        inner.update(message)
        var outer = outer
        outer.update(inner.finalize())
        return outer.finalize().bytes
    }
}
