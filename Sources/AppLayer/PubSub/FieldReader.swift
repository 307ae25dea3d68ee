/// Walks over the fields of a protobuf message where it lies, without copying any: pure.
///
/// What is unknown is passed over; groups, field number 0 and anything cut short end the walk as malformed.
struct FieldReader {
    struct Field {
        let number: UInt64
        /// Whether it has a length, and `content` is what lies behind that.
        let isBytes: Bool
        /// Of another kind: empty.
        let content: Range<Int>
        /// With tag and length.
        let whole: Range<Int>
        /// Of a varint.
        let value: UInt64
    }

    private let bytes: [UInt8]
    private var position: Int
    private let end: Int
    private(set) var isMalformed = false

    init(_ bytes: [UInt8], _ range: Range<Int>) {
        self.bytes = bytes
        (position, end) = (range.lowerBound, range.upperBound)
    }

    /// The next field; `nil` at the end, and where it is malformed.
    mutating func next() -> Field? {
        guard position < end, !isMalformed else { return nil }
        let start = position
        guard let tag = varint(), (1..<1 << 29).contains(tag >> 3) else { return fail() }
        switch tag & 7 {
        case 0:
            guard let value = varint() else { return fail() }
            return Field(
                number: tag >> 3, isBytes: false, content: start..<start, whole: start..<position, value: value)
        case 2:
            guard let length = varint(), length <= UInt64(end - position) else { return fail() }
            let content = position..<position + Int(length)
            position = content.upperBound
            return Field(number: tag >> 3, isBytes: true, content: content, whole: start..<position, value: 0)
        case 1, 5:
            let length = tag & 7 == 1 ? 8 : 4
            guard length <= end - position else { return fail() }
            position += length
            return Field(number: tag >> 3, isBytes: false, content: start..<start, whole: start..<position, value: 0)
        default: return fail()
        }
    }

    private mutating func fail() -> Field? {
        isMalformed = true
        return nil
    }

    /// Protobuf's own: up to 10 bytes, 64 bits; in its shortest form alone, since two forms of one message would be two messages.
    private mutating func varint() -> UInt64? {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 70, by: 7) {
            guard position < end else { return nil }
            let byte = bytes[position]
            position += 1
            if shift == 63, byte > 1 { return nil }
            value |= UInt64(byte & 0x7f) << shift
            if byte & 0x80 == 0 { return byte == 0 && shift > 0 ? nil : value }
        }
        return nil
    }
}

extension ProtobufBytes {
    static func append(_ field: UInt8, _ content: [UInt8], to bytes: inout [UInt8]) {
        head(field, length: content.count, in: &bytes)
        bytes += content
    }
}
