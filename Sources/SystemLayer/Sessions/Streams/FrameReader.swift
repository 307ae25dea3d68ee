package import DeP2PQUIC
package import DeP2PReactor
internal import DeP2PWire

/// Reads length-delimited frames from a stream, and hands on what follows them as raw bytes.
///
/// Calling order: ``next()`` as often as the protocol has frames, then, where it switches to raw data,
/// ``nextRaw()`` until `nil`. One reader a stream: it keeps what arrived beyond the frame asked for.
@NetworkActor
package final class FrameReader {
    package let stream: any ByteStream
    private var decoder: FrameDecoder
    /// Of what it has read, bytes of memory that the stream was told of: none that are few.
    private var kept = 0
    private static let toldMemory = 128 * 1024
    /// Told of each so many bytes that come.
    private var part: (size: Int, came: @NetworkActor () -> Void, left: Int)?

    /// - Parameters:
    ///   - limit: the longest frame taken, in bytes.
    ///   - first: what was read of the stream before.
    package init(_ stream: any ByteStream, limit: Int, first: Chunk? = nil) {
        self.stream = stream
        decoder = FrameDecoder(limit: limit)
        if let first { decoder.append(first.array()) }
    }

    /// The longest frame taken, in bytes; protocols may change it between frames.
    package var limit: Int {
        get { decoder.limit }
        set { decoder.limit = newValue }
    }

    /// Bytes that have arrived beyond the frames taken.
    package var bufferedBytes: Int { decoder.bufferedBytes }

    /// Has `came` called for each `size` bytes that come.
    package func tellParts(of size: Int, _ came: @escaping @NetworkActor () -> Void) { part = (size, came, size) }

    /// The next frame; `nil` when the stream ended between frames.
    ///
    /// - Throws: ``FrameError`` for an oversized or malformed length or an end inside a frame; `StreamError` as the
    ///   stream does.
    package func next() async throws -> [UInt8]? {
        while true {
            if let frame = try decoder.next() {
                tellMemory()
                return frame
            }
            var chunk = stream.readAvailable()
            if chunk == nil { chunk = try await stream.read() }
            guard let chunk else {
                if decoder.isEmpty { return nil }
                throw FrameError(.truncated)
            }
            decoder.append(chunk.array())
            tellMemory()
            tell(chunk.count)
        }
    }

    /// A long frame that comes by and by, or never whole, takes memory meanwhile: the connection's.
    private func tellMemory() {
        let memory = decoder.memory >= Self.toldMemory ? decoder.memory : 0
        guard memory != kept else { return }
        kept = memory
        stream.keeps(memory)
    }

    private func tell(_ bytes: Int) {
        guard let part else { return }
        let left = part.left - bytes
        self.part?.left = left > 0 ? left : part.size
        if left <= 0 { part.came() }
    }

    /// The next frame, where the protocol requires one.
    ///
    /// - Throws: as ``next()``, and `truncated` when the stream ended instead.
    package func required() async throws -> [UInt8] {
        guard let frame = try await next() else { throw FrameError(.truncated) }
        return frame
    }

    /// The next bytes outside any frame: first what is already here, then as the stream delivers them; `nil` at the
    /// end.
    package func nextRaw() async throws -> Chunk? {
        guard decoder.isEmpty else {
            defer { tellMemory() }
            return Chunk(decoder.takeRemaining())
        }
        return try await stream.read()
    }

    /// Exactly `count` raw bytes.
    ///
    /// - Throws: `truncated` when the stream ended before, `oversized` when more than `count` bytes followed in what
    ///   arrived.
    package func raw(count: Int) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            guard let chunk = try await nextRaw() else { throw FrameError(.truncated) }
            guard chunk.count <= count - bytes.count else {
                throw FrameError(.oversized(length: UInt64(bytes.count + chunk.count), limit: count))
            }
            if bytes.isEmpty {
                bytes = chunk.array()
                if bytes.count < count { bytes.reserveCapacity(min(count, 2 * bytes.count)) }
            } else {
                bytes.append(contentsOf: chunk.array())
            }
        }
        return bytes
    }
}

extension ByteStream {
    /// Writes `body` as one frame.
    package func writeFrame(_ body: [UInt8]) async throws {
        try await write(Chunk(Frame.encode(body)))
    }
}
