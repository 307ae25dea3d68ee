internal import CDeP2POpenSSL

/// Incremental SHA-256 (FIPS 180-4): `update` any number of times, then `finalize` once.
///
/// It calls OpenSSL's low-level functions, deprecated as they are: for the 64 bytes of an inner node of a hash tree they
/// take 91 ns where the EVP interface takes 156 (equal at 16 KiB; libsodium, in software, is slower at any size).
package struct SHA256: Sendable {
    private var context = SHA256_CTX()

    package init() {
        SHA256_Init(&context)
    }

    package mutating func update(_ bytes: RawSpan) {
        bytes.withUnsafeBytes { buffer in
            _ = SHA256_Update(&context, buffer.baseAddress, buffer.count)
        }
    }

    package mutating func update(_ bytes: [UInt8]) {
        update(bytes.span.bytes)
    }

    package mutating func update(_ digest: Digest) {
        var words = digest.networkWords
        withUnsafeBytes(of: &words) { buffer in
            _ = SHA256_Update(&context, buffer.baseAddress, buffer.count)
        }
    }

    /// The digest of everything given so far. The state is spent: start anew for the next digest.
    package mutating func finalize() -> Digest {
        var words: Digest.Words = (0, 0, 0, 0)
        withUnsafeMutableBytes(of: &words) { buffer in
            _ = SHA256_Final(buffer.baseAddress, &context)
        }
        return Digest(networkWords: words)
    }

    /// Overwrites the state, of which a secret may be a part. What it was copied to, and what is finished, stays.
    mutating func wipe() { OPENSSL_cleanse(&context, MemoryLayout<SHA256_CTX>.size) }

    package static func hash(_ bytes: RawSpan) -> Digest {
        var hasher = SHA256()
        hasher.update(bytes)
        return hasher.finalize()
    }

    package static func hash(_ bytes: [UInt8]) -> Digest {
        hash(bytes.span.bytes)
    }

    /// The digest of two digests in a row, as an inner node of a Merkle tree (BEP 52). Allocates nothing.
    package static func hash(_ left: Digest, _ right: Digest) -> Digest {
        var hasher = SHA256()
        hasher.update(left)
        hasher.update(right)
        return hasher.finalize()
    }
}

extension SHA256 {
    /// A SHA-256 value: 32 bytes, ordered as its bytes are.
    package struct Digest: Hashable, Sendable, Comparable, CustomStringConvertible {
        typealias Words = (UInt64, UInt64, UInt64, UInt64)

        /// The number of bytes of a digest.
        package static let byteCount = 32
        package static let zero = Digest(networkWords: (0, 0, 0, 0))

        // Host order, most significant first, so that comparing words compares bytes.
        private let first, second, third, fourth: UInt64

        init(networkWords words: Words) {
            first = UInt64(bigEndian: words.0)
            second = UInt64(bigEndian: words.1)
            third = UInt64(bigEndian: words.2)
            fourth = UInt64(bigEndian: words.3)
        }

        var networkWords: Words { (first.bigEndian, second.bigEndian, third.bigEndian, fourth.bigEndian) }

        /// Nil unless there are exactly 32 bytes.
        package init?(bytes: some Collection<UInt8>) {
            guard bytes.count == Self.byteCount else { return nil }
            var words: Words = (0, 0, 0, 0)
            withUnsafeMutableBytes(of: &words) { buffer in
                // Byte by byte, a generic collection takes a microsecond: a tenth of what a small file costs.
                if bytes.withContiguousStorageIfAvailable({ buffer.copyBytes(from: $0) }) == nil {
                    buffer.copyBytes(from: bytes)
                }
            }
            self.init(networkWords: words)
        }

        /// Nil unless there are exactly 32 bytes.
        package init?(_ bytes: RawSpan) {
            guard bytes.byteCount == Self.byteCount else { return nil }
            var words: Words = (0, 0, 0, 0)
            withUnsafeMutableBytes(of: &words) { buffer in
                bytes.withUnsafeBytes { buffer.copyMemory(from: $0) }
            }
            self.init(networkWords: words)
        }

        package var bytes: [UInt8] {
            withUnsafeBytes(of: networkWords) { [UInt8]($0) }
        }

        /// 64 lower-case hexadecimal digits.
        package var hex: String { Hex.encode(bytes) }
        package var description: String { hex }

        /// Appends ``hex`` as ASCII.
        package func appendHex(to text: inout [UInt8]) {
            withUnsafeBytes(of: networkWords) { for byte in $0 { Hex.append(byte, to: &text) } }
        }

        package static func < (left: Digest, right: Digest) -> Bool {
            (left.first, left.second, left.third, left.fourth) < (right.first, right.second, right.third, right.fourth)
        }
    }
}
