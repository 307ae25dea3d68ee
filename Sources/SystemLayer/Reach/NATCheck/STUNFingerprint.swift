internal import CDeP2PZlib
internal import DeP2PIdentity

/// The FINGERPRINT attribute (RFC 8489 section 14.7): CRC-32 of the message, XORed with "STUN".
enum STUNFingerprint {
    /// Type, length and value.
    static let attributeLength = 8

    /// CRC-32 of ITU-T V.42 (polynomial 0x04c11db7, reflected), which is zlib's.
    static func crc32(_ bytes: some Collection<UInt8>) -> UInt32 {
        let bytes = Array(bytes)
        return UInt32(truncatingIfNeeded: CDeP2PZlib.crc32(0, bytes, UInt32(bytes.count)))
    }

    /// The attribute's 4 value bytes; `message` ends where the attribute starts, its length field counts it.
    static func value(of message: some Collection<UInt8>) -> [UInt8] {
        (crc32(message) ^ 0x5354_554e).bigEndianBytes
    }
}
