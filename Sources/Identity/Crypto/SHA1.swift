internal import CDeP2POpenSSL

/// SHA-1 (FIPS 180-4), for formats of others that name things by it. Who can choose both of two texts can make them collide:
/// it proves nothing, and nothing here relies on it but for finding.
package enum SHA1 {
    package static let byteCount = 20

    /// 20 bytes.
    package static func hash(_ bytes: [UInt8]) -> [UInt8] {
        var context = SHA_CTX()
        SHA1_Init(&context)
        bytes.withUnsafeBytes { buffer in
            _ = SHA1_Update(&context, buffer.baseAddress, buffer.count)
        }
        return [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
            SHA1_Final(buffer.baseAddress, &context)
            count = byteCount
        }
    }
}
