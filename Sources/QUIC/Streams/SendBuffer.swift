internal import CDeP2PQUICShim
internal import DequeModule

/// The sending half of a stream: chunks kept by reference for as long as ngtcp2 may read them.
///
/// ngtcp2 does not copy stream data: a retransmission reads it again from the chunk, of streams too that were reset or
/// that the peer no longer reads. What it has taken (``advance(_:finished:)``) stays where it is until it has said that
/// the peer has it (``acknowledge(upTo:)``), or that the stream or the connection is gone (``release()``); the contract
/// is `ngtcp2_conn_writev_stream`'s. Giving a stream up (``abandon()``) frees only what was never handed over.
struct SendBuffer {
    /// What a chunk occupies besides its bytes: the object, two allocations' heads, and a place in the queue.
    static let chunkOverhead = 128
    private static let pageSize = 4_096

    private var chunks = Deque<Chunk>()
    /// Stream offset of the first retained chunk's first byte.
    private var base: UInt64 = 0
    /// Which retained chunk holds the next byte to send, and where in it.
    private var cursor = 0
    private var cursorOffset = 0

    private(set) var acknowledged: UInt64 = 0
    private(set) var sent: UInt64 = 0
    private(set) var appended: UInt64 = 0
    private(set) var isFinished = false
    private(set) var finishSent = false
    /// Nothing more will be handed over; what was is kept for ngtcp2 alone.
    private(set) var isAbandoned = false
    /// Bytes of memory that the retained chunks occupy.
    private(set) var memory = 0

    /// Bytes not yet given to the transport.
    var unsent: UInt64 { appended - sent }
    /// Bytes kept in memory: unsent, or sent and not acknowledged.
    var retained: UInt64 { appended - base }
    var hasWork: Bool { unsent > 0 || (isFinished && !finishSent) }

    mutating func append(_ chunk: Chunk) {
        precondition(!isFinished)
        guard chunk.count > 0 else { return }
        chunks.append(chunk)
        appended += UInt64(chunk.count)
        memory += Self.memory(of: chunk)
    }

    /// Pages that were never written to cost nothing: a chunk from the network is often large and nearly empty.
    static func memory(of chunk: Chunk) -> Int {
        min(chunk.capacity, (chunk.count + pageSize - 1) / pageSize * pageSize) + chunkOverhead
    }

    mutating func finish() { isFinished = true }

    /// Describes the next unsent bytes. Returns how many vectors were filled, their bytes, and whether they reach
    /// the end of what is queued.
    func vectors(into vectors: UnsafeMutableBufferPointer<dep2p_vec>) -> (count: Int, bytes: Int, isAll: Bool) {
        guard !isAbandoned else { return (0, 0, true) }
        var count = 0
        var bytes = 0
        var offset = cursorOffset
        while count < vectors.count, cursor + count < chunks.count {
            let chunk = chunks[cursor + count]
            let length = chunk.count - offset
            vectors[count] = dep2p_vec(
                base: UnsafePointer((chunk.base + offset).assumingMemoryBound(to: UInt8.self)), length: length)
            bytes += length
            count += 1
            offset = 0
        }
        return (count, bytes, UInt64(bytes) == unsent)
    }

    /// The transport took `count` bytes, and the end of the stream when `finished`.
    mutating func advance(_ count: Int, finished: Bool) {
        sent += UInt64(count)
        if finished { finishSent = true }
        var left = count
        while left > 0 {
            let rest = chunks[cursor].count - cursorOffset
            if left < rest {
                cursorOffset += left
                return
            }
            left -= rest
            cursor += 1
            cursorOffset = 0
        }
    }

    /// Everything below stream offset `end` has arrived.
    mutating func acknowledge(upTo end: UInt64) {
        acknowledged = max(acknowledged, min(end, sent))
        while let first = chunks.first, cursor > 0, base + UInt64(first.count) <= acknowledged {
            base += UInt64(first.count)
            memory -= Self.memory(of: first)
            chunks.removeFirst()
            cursor -= 1
        }
        // The chunk that was handed over in part only has no later part any more.
        if isAbandoned, acknowledged == sent { release() }
    }

    /// Drops what was not handed over and sends nothing more: the stream was reset, or the peer has stopped reading.
    mutating func abandon() {
        guard !isAbandoned else { return }
        isAbandoned = true
        isFinished = true
        finishSent = true
        appended = sent
        let kept = cursorOffset > 0 ? cursor + 1 : cursor
        while chunks.count > kept, let dropped = chunks.popLast() { memory -= Self.memory(of: dropped) }
        if acknowledged == sent { release() }
    }

    /// Drops everything. Only for when ngtcp2 has let go: the stream is closed there, or the connection freed.
    mutating func release() {
        chunks.removeAll()
        (cursor, cursorOffset, memory) = (0, 0, 0)
        (base, appended) = (sent, sent)
        isAbandoned = true
        isFinished = true
        finishSent = true
    }
}
