/// The little of the protobuf wire format that the signed records need, written by hand: `PublicKey` must be encoded
/// the same everywhere because its hash is the NodeID, and start-up stays free of a runtime.
enum Protobuf {
    /// A field's value as it lies on the wire. Fixed-width values are skipped: no message here has any.
    enum Value {
        case varint(UInt64)
        case bytes([UInt8])
        case other
    }

    /// Walks over the fields of a message in the order of the wire. Unknown fields reach the caller too, who ignores
    /// them; groups, field number 0 and anything cut short end the walk as malformed.
    struct Reader {
        private var reader: ByteReader
        private(set) var isMalformed = false

        init(_ message: [UInt8]) {
            reader = ByteReader(message)
        }

        /// The next field, or nil at the end or on malformed input: look at `isMalformed` then.
        mutating func next() -> (number: UInt64, value: Value)? {
            guard !reader.isAtEnd, !isMalformed else { return nil }
            guard let tag = varint(), (1..<1 << 29).contains(tag >> 3), let value = value(ofType: tag & 7) else {
                isMalformed = true
                return nil
            }
            return (tag >> 3, value)
        }

        private mutating func value(ofType wireType: UInt64) -> Value? {
            switch wireType {
            case 0: varint().map(Value.varint)
            case 1: reader.take(8).map { _ in .other }
            case 2: varint().flatMap { reader.take($0) }.map(Value.bytes)
            case 5: reader.take(4).map { _ in .other }
            default: nil
            }
        }

        /// Protobuf's own varint: up to 10 bytes, 64 bits, longer forms than needed allowed.
        private mutating func varint() -> UInt64? {
            var value: UInt64 = 0
            for shift in stride(from: UInt64(0), to: 70, by: 7) {
                guard let byte = reader.byte() else { return nil }
                if shift == 63 && byte > 1 { return nil }
                value |= UInt64(byte & 0x7f) << shift
                if byte & 0x80 == 0 { return value }
            }
            return nil
        }
    }

    static func append(field number: UInt8, bytes: [UInt8], to message: inout [UInt8]) {
        message.append(number << 3 | 2)
        Varint.append(UInt64(bytes.count), to: &message)
        message += bytes
    }

    static func append(field number: UInt8, varint value: UInt64, to message: inout [UInt8]) {
        message.append(number << 3)
        var rest = value
        while rest >= 0x80 {
            message.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        message.append(UInt8(truncatingIfNeeded: rest))
    }
}
