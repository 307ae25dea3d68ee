/// HMAC-SHA256 (RFC 2104), with any key length; 32 bytes.
public func hmacSHA256(key: [UInt8], message: [UInt8]) -> [UInt8] {
    let mac = HMACKey(key)
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
    let mac = HMACKey(pseudorandomKey)
    var output: [UInt8] = []
    output.reserveCapacity(count + SHA256.Digest.byteCount)
    var block: [UInt8] = []
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
private struct HMACKey {
    private let inner: SHA256
    private let outer: SHA256

    init(_ key: [UInt8]) {
        let blockSize = 64
        var block = key.count > blockSize ? SHA256.hash(key).bytes : key
        block += [UInt8](repeating: 0, count: blockSize - block.count)
        var pad = block.map { $0 ^ 0x36 }
        var inner = SHA256()
        inner.update(pad)
        for index in pad.indices { pad[index] = block[index] ^ 0x5c }
        var outer = SHA256()
        outer.update(pad)
        wipe(&pad)
        wipe(&block)
        self.inner = inner
        self.outer = outer
    }

    func authenticate(_ message: [UInt8]) -> [UInt8] {
        var inner = inner
        inner.update(message)
        var outer = outer
        outer.update(inner.finalize())
        return outer.finalize().bytes
    }
}
