internal import DequeModule

/// The receiving half of a stream: bytes in order, gathered into chunks that grow with the stream's rate.
///
/// A chunk may be larger than what is in it, and the peer decides how much that is. So it is large only for a stream that
/// has filled smaller ones, and while the connection's buffers together have ``append(_:room:)``'s room for that; and
/// one that is handed out nearly empty is cut to its size first.
struct ReceiveBuffer {
    /// A short stream's first chunk; later ones grow up to the pooled size.
    static let firstChunk = 2_048
    /// A chunk that is handed out has so many times the memory of its bytes at most, or ``firstChunk``.
    static let slackFactor = 8

    private var chunks = Deque<Chunk>()
    private var filling: Chunk?
    private var nextCapacity = firstChunk

    private(set) var count = 0
    /// Bytes of memory that the unread ones are in.
    private(set) var memory = 0
    var isFinished = false

    /// - Parameter room: memory that chunks may take beyond what their bytes need.
    mutating func append(_ bytes: UnsafeRawBufferPointer, room: Int = .max) {
        count += bytes.count
        var rest = bytes
        while !rest.isEmpty {
            let chunk = filling ?? makeChunk(for: rest.count, room: room)
            let length = min(rest.count, chunk.available)
            chunk.append(UnsafeRawBufferPointer(rebasing: rest[..<length]))
            rest = UnsafeRawBufferPointer(rebasing: rest[length...])
            if chunk.available == 0 {
                chunks.append(chunk)
                filling = nil
            } else {
                filling = chunk
            }
        }
    }

    private mutating func makeChunk(for length: Int, room: Int) -> Chunk {
        let wanted = max(nextCapacity, min(length, Chunk.pooledCapacity))
        let allowed = max(room, min(length, Chunk.pooledCapacity), Self.firstChunk)
        let chunk = Chunk(capacity: min(wanted, allowed))
        nextCapacity = min(chunk.capacity * 4, Chunk.pooledCapacity)
        memory += chunk.capacity
        return chunk
    }

    /// The oldest bytes; what is still being filled is handed out as it is.
    mutating func take() -> Chunk? {
        if let chunk = chunks.popFirst() {
            forget(chunk)
            return chunk
        }
        guard let chunk = filling else { return nil }
        filling = nil
        forget(chunk)
        guard chunk.capacity > Self.firstChunk, chunk.count < chunk.capacity / Self.slackFactor else { return chunk }
        nextCapacity = max(chunk.capacity / 4, Self.firstChunk)
        return Chunk(chunk.array())
    }

    private mutating func forget(_ chunk: Chunk) {
        count -= chunk.count
        memory -= chunk.capacity
    }

    /// Drops everything unread; returns how many bytes that were.
    mutating func discard() -> Int {
        defer { (count, memory) = (0, 0) }
        chunks.removeAll()
        filling = nil
        return count
    }
}
