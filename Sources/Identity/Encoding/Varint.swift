/// Unsigned LEB128 as multiformats restrict it (multiformats/unsigned-varint): at most 9 bytes, so values below 2^63,
/// and always the shortest form.
public enum Varint {
    /// The most bytes a varint takes.
    public static let maximumLength = 9

    public enum Decoded: Equatable, Sendable {
        /// A value and the number of bytes it took.
        case value(UInt64, length: Int)
        /// A good beginning: more bytes must follow.
        case needMore
        /// Longer than 9 bytes or than it needs to be; no further byte can mend it.
        case malformed
    }

    /// - Precondition: the value is below 2^63; lengths and codes are.
    package static func encode(_ value: UInt64) -> [UInt8] {
        var bytes: [UInt8] = []
        append(value, to: &bytes)
        return bytes
    }

    package static func append(_ value: UInt64, to bytes: inout [UInt8]) {
        precondition(value < 1 << 63, "a multiformats varint holds 63 bits")
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }

    /// Reads one varint from the beginning of `bytes`; what follows it is not looked at.
    @inlinable public static func decode(_ bytes: some Collection<UInt8>) -> Decoded {
        var value: UInt64 = 0
        var length = 0
        for byte in bytes {
            guard length < maximumLength else { return .malformed }
            value |= UInt64(byte & 0x7f) << UInt64(7 * length)
            length += 1
            if byte & 0x80 == 0 {
                return byte == 0 && length > 1 ? .malformed : .value(value, length: length)
            }
        }
        return length < maximumLength ? .needMore : .malformed
    }
}
