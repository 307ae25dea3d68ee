/// The receiving half of a stream: bytes in order, gathered into chunks that grow with the stream's rate.
struct ReceiveBuffer {
    /// A short stream's first chunk; later ones double up to the pooled size.
    static let firstChunk = 2_048

    private var chunks = FIFO<Chunk>()
    private var filling: Chunk?
    private var nextCapacity = firstChunk

    private(set) var count = 0
    var isFinished = false

    mutating func append(_ bytes: UnsafeRawBufferPointer) {
        count += bytes.count
        var rest = bytes
        while !rest.isEmpty {
            let chunk = filling ?? makeChunk(atLeast: rest.count)
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

    private mutating func makeChunk(atLeast length: Int) -> Chunk {
        let capacity = max(nextCapacity, min(length, Chunk.pooledCapacity))
        nextCapacity = min(capacity * 4, Chunk.pooledCapacity)
        return Chunk(capacity: capacity)
    }

    /// The oldest bytes; what is still being filled is handed out as it is.
    mutating func take() -> Chunk? {
        if let chunk = chunks.removeFirst() {
            count -= chunk.count
            return chunk
        }
        guard let chunk = filling else { return nil }
        filling = nil
        count -= chunk.count
        return chunk
    }

    /// Drops everything unread; returns how many bytes that were.
    mutating func discard() -> Int {
        defer { count = 0 }
        chunks.removeAll()
        filling = nil
        return count
    }
}
