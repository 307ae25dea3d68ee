internal import DeP2PIdentity

/// Reads fields that come in their order, each once. What cannot be read makes all of it unreadable: nothing more is
/// found, and ``isAtEnd`` stays false.
struct ProtobufReader {
    let bytes: [UInt8]
    private var position = 0
    /// Where the message at hand ends.
    private var end: Int
    private var isBroken = false

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        end = bytes.count
    }

    /// Whether everything has been read.
    var isAtEnd: Bool { !isBroken && position == end }

    /// The number in the next field; when that is another, 0 or `nil`.
    mutating func number(_ field: UInt8) -> UInt64 { optionalNumber(field) ?? 0 }

    mutating func optionalNumber(_ field: UInt8) -> UInt64? {
        guard take(field << 3) else { return nil }
        return varint()
    }

    mutating func root(_ field: UInt8) -> MerkleRoot? {
        guard let range = range(of: field) else { return nil }
        return MerkleRoot(bytes: bytes[range])
    }

    /// `nil` when the next field is another.
    mutating func text(_ field: UInt8) -> String? {
        guard let range = textRange(field) else { return nil }
        return String(decoding: bytes[range], as: UTF8.self)
    }

    /// Where the text of the next field is, which is UTF-8; `nil` when the next field is another.
    mutating func textRange(_ field: UInt8) -> Range<Int>? {
        guard let range = range(of: field) else { return nil }
        let isText =
            bytes[range].allSatisfy { $0 < 0x80 } || String(validating: bytes[range], as: UTF8.self) != nil
        return isText ? range : fail()
    }

    /// Goes into the message that is all there is.
    ///
    /// - Returns: its field.
    mutating func enter() -> UInt8? {
        guard position < end else { return nil }
        let field = bytes[position] >> 3
        guard let range = range(of: field), range.upperBound == end else { return fail() }
        position = range.lowerBound
        return field
    }

    /// Reads the message that is the next field, with `body`, to its end; `nil` when the next field is another.
    mutating func message<Value>(_ field: UInt8, _ body: (inout Self) -> Value?) -> Value? {
        guard let range = range(of: field) else { return nil }
        let outer = end
        (position, end) = (range.lowerBound, range.upperBound)
        guard let value = body(&self), isAtEnd else { return fail() }
        end = outer
        return value
    }

    private mutating func fail<Value>() -> Value? {
        isBroken = true
        return nil
    }

    private mutating func take(_ tag: UInt8) -> Bool {
        guard !isBroken, position < end, bytes[position] == tag else { return false }
        position += 1
        return true
    }

    /// Where the bytes of the next field are, if it is this one.
    private mutating func range(of field: UInt8) -> Range<Int>? {
        guard take(field << 3 | 2), let length = varint() else { return nil }
        guard length <= UInt64(end - position) else { return fail() }
        let start = position
        position += Int(length)
        return start..<position
    }

    /// At most 63 bits.
    private mutating func varint() -> UInt64? {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 63, by: 7) where position < end {
            let byte = bytes[position]
            position += 1
            value |= UInt64(byte & 0x7f) << shift
            if byte & 0x80 == 0 { return value }
        }
        return fail()
    }
}
