internal import DeP2PQUIC

/// Lays frames and data out in chunks, small files side by side.
struct WireWriter {
    /// The chunk that is being filled: data is read into it directly, behind ``reserveData(remaining:)``.
    private(set) var chunk = Chunk(capacity: Chunk.pooledCapacity)
    private var full: [Chunk] = []
    private var fullBytes = 0
    /// A frame before it is in a chunk.
    private var frame: [UInt8] = []

    /// Data shorter than this does not begin in the rest of a chunk unless it is the whole file.
    private static let leastData = 4096
    /// Bytes in a chunk from which it is worth keeping.
    private static let leastShared = 64 * 1024
    /// The longest announcement of data: frame length, tag, 3 bytes of length (1 MiB).
    private static let dataHeader = 6

    /// Bytes laid out and not taken.
    var count: Int { fullBytes + chunk.count }

    mutating func append(_ frame: TransferSenderFrame) throws(TransferError) {
        self.frame.removeAll(keepingCapacity: true)
        if !frame.appendFileFrame(to: &self.frame) { self.frame = try frame.encodedBySchema() }
        append(self.frame)
    }

    /// Announces as much data as fits the chunk, up to `remaining` bytes; the caller appends exactly that to
    /// ``chunk``.
    mutating func reserveData(remaining: UInt64) -> Int {
        let least = Self.dataHeader + Int(min(remaining, UInt64(Self.leastData)))
        if chunk.available < least { flush() }
        let length = Int(min(remaining, UInt64(chunk.available - Self.dataHeader)))
        announce(length)
        return length
    }

    /// Announces and appends a chunk of data; copies little, and shares much.
    mutating func append(data: Chunk) {
        announce(data.count)
        if data.count < Self.leastShared { return append(data.array()) }
        flush()
        full.append(data)
        fullBytes += data.count
    }

    /// Everything laid out so far.
    mutating func take() -> [Chunk] {
        if chunk.count < Self.leastShared, chunk.count > 0 {
            // The stream keeps chunks until they are acknowledged: a few bytes should not hold a large one.
            full.append(Chunk(chunk.array()))
            fullBytes += chunk.count
            chunk = Chunk(capacity: Chunk.pooledCapacity)
        }
        flush()
        defer { (full, fullBytes) = ([], 0) }
        return full
    }

    private mutating func announce(_ length: Int) {
        // Cannot fail: the frame has a handful of bytes.
        try? append(TransferSenderFrame.data(length))
    }

    private mutating func append(_ bytes: [UInt8]) {
        if bytes.count <= chunk.available { return chunk.append(bytes) }
        var start = 0
        while start < bytes.count {
            if chunk.available == 0 { flush() }
            let end = min(start + chunk.available, bytes.count)
            chunk.append(bytes.span.bytes.extracting(start..<end))
            start = end
        }
    }

    private mutating func flush() {
        guard chunk.count > 0 else { return }
        full.append(chunk)
        fullBytes += chunk.count
        chunk = Chunk(capacity: Chunk.pooledCapacity)
    }
}
