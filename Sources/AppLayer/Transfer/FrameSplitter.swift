internal import DeP2PIdentity
internal import DeP2PQUIC

/// Cuts a stream's chunks into frames and raw data; data stays where it is, as ranges of the chunk.
///
/// Calling order: ``next(in:from:)`` with one chunk until it returns `nil`, then with the next chunk. After a frame
/// that announces raw bytes, ``expectData(_:)`` before the next call.
struct FrameSplitter {
    enum Piece: Equatable {
        /// A whole message without its length.
        case frame([UInt8])
        /// Raw bytes of the chunk at hand.
        case data(Range<Int>)
    }

    private enum State {
        case length([UInt8])
        case body(Int, [UInt8])
        case data(Int)
    }

    private var state = State.length([])

    /// Whether the stream may end here.
    var isBetweenFrames: Bool {
        if case .length(let bytes) = state { return bytes.isEmpty }
        return false
    }

    /// The next `count` bytes are raw.
    mutating func expectData(_ count: Int) {
        state = count > 0 ? .data(count) : .length([])
    }

    /// The next piece of `chunk` at `position`, which moves behind it; `nil` when the chunk is used up.
    ///
    /// - Throws: `.protocolViolation` for a malformed length or one beyond ``TransferLimits/frame``; the splitter is
    ///   of no use afterwards.
    mutating func next(in chunk: Chunk, from position: inout Int) throws(TransferError) -> Piece? {
        while position < chunk.count {
            switch state {
            case .length(var bytes):
                if bytes.isEmpty, let frame = Self.wholeFrame(in: chunk, from: &position) { return .frame(frame) }
                bytes.append(chunk[position])
                position += 1
                state = try Self.afterLength(bytes)
                if case .body(0, _) = state {
                    state = .length([])
                    return .frame([])
                }
            case .body(let needed, var bytes):
                state = .length([])  // so that the buffer below is the only reference and grows in place
                let taken = min(needed - bytes.count, chunk.count - position)
                bytes += chunk.array(position..<position + taken)
                position += taken
                guard bytes.count == needed else {
                    state = .body(needed, bytes)
                    return nil
                }
                return .frame(bytes)
            case .data(let remaining):
                let range = position..<position + min(remaining, chunk.count - position)
                position = range.upperBound
                expectData(remaining - range.count)
                return .data(range)
            }
        }
        return nil
    }

    /// The frame at `position` when all of it is there: most are a few bytes long, and come in hundreds.
    private static func wholeFrame(in chunk: Chunk, from position: inout Int) -> [UInt8]? {
        let length = Int(chunk[position])
        guard (1..<0x80).contains(length), chunk.count - position > length else { return nil }
        defer { position += 1 + length }
        return chunk.array(position + 1..<position + 1 + length)
    }

    private static func afterLength(_ bytes: [UInt8]) throws(TransferError) -> State {
        switch Varint.decode(bytes) {
        case .needMore: return .length(bytes)
        case .malformed: throw .violation("a frame's length is malformed")
        case .value(let length, _):
            guard length <= UInt64(TransferLimits.frame) else {
                throw .violation("a frame of \(length) bytes; the limit is \(TransferLimits.frame)")
            }
            return .body(Int(length), [])
        }
    }
}
