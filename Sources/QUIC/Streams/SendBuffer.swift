internal import CQUICShim

/// The sending half of a stream: chunks kept by reference from `append` until the peer has acknowledged them.
///
/// ngtcp2 does not copy stream data; a retransmission reads it again from the chunk.
struct SendBuffer {
    private var chunks = FIFO<Chunk>()
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
    }

    mutating func finish() { isFinished = true }

    /// Describes the next unsent bytes. Returns how many vectors were filled, their bytes, and whether they reach
    /// the end of what is queued.
    func vectors(into vectors: UnsafeMutableBufferPointer<dep2p_vec>) -> (count: Int, bytes: Int, isAll: Bool) {
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
            chunks.removeFirst()
            cursor -= 1
        }
    }

    /// Forgets everything: the stream was reset, or the connection is gone.
    mutating func discard() {
        chunks.removeAll()
        cursor = 0
        cursorOffset = 0
        base = appended
        sent = appended
        isFinished = true
        finishSent = true
    }
}

/// A queue with constant-time ends and random access.
struct FIFO<Element> {
    private var storage: [Element?] = []
    private var head = 0

    var count: Int { storage.count - head }
    var isEmpty: Bool { count == 0 }
    var first: Element? { isEmpty ? nil : storage[head] }

    subscript(index: Int) -> Element {
        guard let element = storage[head + index] else { preconditionFailure("an element below the head") }
        return element
    }

    mutating func append(_ element: Element) { storage.append(element) }

    @discardableResult
    mutating func removeFirst() -> Element? {
        guard !isEmpty else { return nil }
        let element = storage[head]
        storage[head] = nil
        head += 1
        if head == storage.count {
            storage.removeAll(keepingCapacity: storage.capacity <= 1024)
            head = 0
        } else if head >= 64, head > storage.count / 2 {
            storage.removeFirst(head)
            head = 0
        }
        return element
    }

    mutating func removeAll() {
        storage.removeAll()
        head = 0
    }

    mutating func removeAll(where matches: (Element) -> Bool) {
        storage.removeFirst(head)
        head = 0
        storage.removeAll { $0.map(matches) ?? false }
    }
}
