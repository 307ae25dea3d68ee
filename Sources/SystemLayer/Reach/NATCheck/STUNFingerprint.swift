internal import Identity

/// The FINGERPRINT attribute (RFC 8489 section 14.7): CRC-32 of the message, XORed with "STUN".
enum STUNFingerprint {
    /// Type, length and value.
    static let attributeLength = 8

    private static let table: [UInt32] = (0..<256).map { byte in
        (0..<8).reduce(UInt32(byte)) { crc, _ in crc & 1 == 1 ? crc >> 1 ^ 0xedb8_8320 : crc >> 1 }
    }

    /// CRC-32 of ITU-T V.42 (polynomial 0x04c11db7, reflected).
    static func crc32(_ bytes: some Sequence<UInt8>) -> UInt32 {
        ~bytes.reduce(UInt32.max) { crc, byte in crc >> 8 ^ table[Int(UInt8(truncatingIfNeeded: crc) ^ byte)] }
    }

    /// The attribute's 4 value bytes; `message` ends where the attribute starts, its length field counts it.
    static func value(of message: some Sequence<UInt8>) -> [UInt8] {
        (crc32(message) ^ 0x5354_554e).bigEndianBytes
    }
}
