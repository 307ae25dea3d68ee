internal import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PWire

// The two headers by hand: as protobuf writes them, byte for byte, and read where they and their body have come whole and
// hold what they always hold. Everything else is left to protobuf, whose general coders take nearly twice as long to write
// one. Pure.

extension RequestHeader {
    /// The header as a frame.
    var frame: [UInt8] {
        var fields = HeaderWriter()
        fields.text(1, `protocol`)
        fields.number(2, bodySize)
        return fields.frame()
    }

    /// - Parameter start: where the header begins.
    /// - Returns: the header and where its body begins; `nil` unless the two and nothing else are there, as ``frame``
    ///   writes them, with a name that may be one.
    static func whole(in chunk: Chunk, from start: Int = 0) -> (header: RequestHeader, body: Int)? {
        var fields = HeaderReader(chunk, from: start)
        guard let body = fields.frame(atMost: frameLimit), let name = fields.name(1), let size = fields.number(2),
            fields.isAtEnd, size == UInt64(chunk.count - body)
        else { return nil }
        return (RequestHeader(protocolName: name, bodySize: chunk.count - body), body)
    }
}

extension ReplyHeader {
    /// The header as a frame.
    var frame: [UInt8] {
        var fields = HeaderWriter()
        fields.number(1, UInt64(status.rawValue))
        fields.number(2, bodySize)
        fields.text(3, detail)
        fields.number(4, limit)
        return fields.frame()
    }

    /// Of a receipt or a reply: as ``RequestHeader/whole(in:)``.
    static func whole(in chunk: Chunk, from start: Int = 0) -> (header: ReplyHeader, body: Int)? {
        var fields = HeaderReader(chunk, from: start)
        guard let body = fields.frame(atMost: frameLimit), let status = fields.number(1),
            let size = fields.number(2), fields.isAtEnd, size == UInt64(chunk.count - body)
        else { return nil }
        switch status {
        case UInt64(Status.reply.rawValue): return (ReplyHeader(.reply, bodySize: chunk.count - body), body)
        case UInt64(Status.receipt.rawValue): return (ReplyHeader(.receipt, bodySize: chunk.count - body), body)
        default: return nil
        }
    }
}

/// Writes fields in the order given; those that are zero or empty are left out, as protobuf 3 does.
private struct HeaderWriter {
    /// Behind room for the length of nearly every header.
    private var bytes: [UInt8] = []

    init() {
        bytes.reserveCapacity(64)
        bytes.append(0)
    }

    /// The fields behind their length.
    consuming func frame() -> [UInt8] {
        guard bytes.count <= 128 else { return Frame.encode(Array(bytes.dropFirst())) }
        bytes[0] = UInt8(bytes.count - 1)
        return bytes
    }

    mutating func number(_ field: UInt8, _ value: UInt64) {
        guard value != 0 else { return }
        bytes.append(field << 3)
        varint(value)
    }

    mutating func text(_ field: UInt8, _ value: String) {
        guard !value.isEmpty else { return }
        bytes.append(field << 3 | 2)
        varint(UInt64(value.utf8.count))
        bytes.append(contentsOf: value.utf8)
    }

    /// Protobuf's, of up to ten bytes.
    private mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }
}

/// Reads what ``HeaderWriter`` writes, or says `nil`: never past the end of the frame.
private struct HeaderReader {
    /// Longer than what is read by hand.
    private static let window = 160

    private let bytes: [UInt8]
    /// Where they begin in the chunk.
    private let start: Int
    private var position = 0
    private var end = 0

    init(_ chunk: Chunk, from start: Int) {
        bytes = chunk.array(start..<min(chunk.count, start + Self.window))
        self.start = start
    }

    /// Whether all of the frame was read.
    var isAtEnd: Bool { position == end }

    /// Where in the chunk the frame that begins here ends; fields are read up to there.
    mutating func frame(atMost limit: Int) -> Int? {
        guard case .value(let length, let size) = Varint.decode(bytes), length <= UInt64(min(limit, bytes.count)),
            Int(length) <= bytes.count - size
        else { return nil }
        position = size
        end = size + Int(length)
        return start + end
    }

    /// 0 for a field that is left out.
    mutating func number(_ field: UInt8) -> UInt64? {
        guard position < end, bytes[position] == field << 3 else { return 0 }
        position += 1
        var (value, shift) = (UInt64(0), UInt64(0))
        while position < end, shift < 63 {
            let byte = bytes[position]
            position += 1
            value |= UInt64(byte & 0x7f) << shift
            if byte & 0x80 == 0 { return value }
            shift += 7
        }
        return nil
    }

    /// A text of up to 127 printable ASCII characters without spaces.
    mutating func name(_ field: UInt8) -> String? {
        guard end - position >= 2, bytes[position] == field << 3 | 2 else { return nil }
        let (first, length) = (position + 2, Int(bytes[position + 1]))
        guard (1..<128).contains(length), length <= end - first else { return nil }
        let name = bytes[first..<first + length]
        guard name.allSatisfy({ (0x21...0x7e).contains($0) }) else { return nil }
        position = first + length
        return String(decoding: name, as: UTF8.self)
    }
}
