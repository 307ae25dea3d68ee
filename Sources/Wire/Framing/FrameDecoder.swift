internal import DeP2PIdentity

/// Cuts a byte stream into frames: an unsigned-varint length, then that many bytes (libp2p's delimited messages).
///
/// Calling order: ``append(_:)`` what has arrived, then ``next()`` until it returns `nil`; ``takeRemaining()`` when the
/// stream switches from frames to raw data. A length above the limit is refused before anything is kept for it, so a
/// peer pays for memory with bytes it really sent.
package struct FrameDecoder: Sendable {
    /// The longest frame taken, in bytes, without its length prefix.
    package var limit: Int
    private var buffer: [UInt8] = []
    private var position = 0

    package init(limit: Int) {
        self.limit = limit
    }

    /// Whether every byte appended has been taken out again.
    package var isEmpty: Bool { position == buffer.count }

    /// The bytes kept.
    package var bufferedBytes: Int { buffer.count - position }

    /// Bytes of memory that it has for them.
    package var memory: Int { buffer.capacity }

    package mutating func append(_ bytes: [UInt8]) {
        if isEmpty {
            buffer = bytes
            position = 0
        } else {
            compact()
            buffer.append(contentsOf: bytes)
        }
    }

    /// The next whole frame, or `nil` when more bytes are needed.
    ///
    /// - Throws: ``FrameError`` `oversized` or `malformedLength`; the stream cannot be read as frames any further.
    package mutating func next() throws(FrameError) -> [UInt8]? {
        guard let (start, length) = try peekLength() else { return nil }
        guard buffer.count - start >= length else { return nil }
        let frame = Array(buffer[start..<start + length])
        position = start + length
        // Of a long frame nothing is kept: the next may be far off.
        if isEmpty { (buffer, position) = ([], 0) }
        return frame
    }

    /// Everything after the last frame taken; the decoder is empty afterwards.
    package mutating func takeRemaining() -> [UInt8] {
        defer {
            buffer = []
            position = 0
        }
        return position == 0 ? buffer : Array(buffer[position...])
    }

    private func peekLength() throws(FrameError) -> (start: Int, length: Int)? {
        if isEmpty { return nil }
        switch Varint.decode(buffer[position...]) {
        case .needMore: return nil
        case .malformed: throw FrameError(.malformedLength)
        case .value(let length, let size):
            guard length <= UInt64(limit) else { throw FrameError(.oversized(length: length, limit: limit)) }
            return (position + size, Int(length))
        }
    }

    /// Drops what was taken once it is the larger part, so that appending stays linear in the bytes received.
    private mutating func compact() {
        guard position > 0, position >= buffer.count / 2 else { return }
        buffer.removeFirst(position)
        position = 0
    }
}
