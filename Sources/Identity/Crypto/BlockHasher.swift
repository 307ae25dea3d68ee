/// Cuts a stream of bytes into blocks of equal size and hashes many of them at once (SHA-256).
///
/// Calling order: `update` with the bytes in order, any number of times; `finish` once after the last; `take` whenever
/// digests are wanted. As many whole blocks as fill all lanes are hashed where they lie; what is copied aside and waits
/// for more is a block that ends in the next bytes, and bytes that make too few blocks for all lanes at once.
package struct BlockHasher: Sendable {
    /// Blocks that are hashed together, and of which fewer wait: what waits is copied aside.
    private static let gatheredBlocks = HashLanes.together

    package let blockSize: Int
    private var gathered: [UInt8] = []
    private var digests: [SHA256.Digest] = []

    package init(blockSize: Int) {
        precondition(blockSize > 0, "a block has a byte at least")
        self.blockSize = blockSize
    }

    /// Whether what came so far ends where a block does.
    package var isBetweenBlocks: Bool { gathered.count % blockSize == 0 }

    package mutating func update(_ bytes: RawSpan) {
        var position = hashInPlace(bytes)
        while position < bytes.byteCount {
            position += gather(bytes.extracting(position..<bytes.byteCount))
        }
    }

    /// Hashes the blocks that wait and, where they lie, whole blocks in `bytes`, as many as fill all lanes each time.
    ///
    /// - Returns: how many bytes were taken.
    private mutating func hashInPlace(_ bytes: RawSpan) -> Int {
        let missing = isBetweenBlocks ? 0 : blockSize - gathered.count % blockSize
        guard bytes.byteCount >= missing else { return 0 }
        let waiting = (gathered.count + missing) / blockSize
        let all = waiting + (bytes.byteCount - missing) / blockSize
        let full = all / Self.gatheredBlocks * Self.gatheredBlocks
        // A few in lanes made for many would take as long as many.
        guard full > waiting else { return 0 }
        let end = missing + (full - waiting) * blockSize
        hashGathered(completedBy: bytes.extracting(first: missing), before: bytes.extracting(missing..<end))
        return end
    }

    private mutating func hashGathered(completedBy bytes: RawSpan, before blocks: RawSpan) {
        // Taken out meanwhile: a span of `gathered` would keep `digests` from changing.
        var waiting: [UInt8] = []
        swap(&waiting, &gathered)
        bytes.withUnsafeBytes { waiting.append(contentsOf: $0) }
        SHA256.hash(after: waiting.span.bytes, blocks: blocks, of: blockSize, into: &digests)
        waiting.removeAll(keepingCapacity: true)
        swap(&waiting, &gathered)
    }

    /// Hashes the blocks that wait; the last one may be shorter.
    package mutating func finish() {
        flush()
        guard !gathered.isEmpty else { return }
        digests.append(SHA256.hash(gathered))
        gathered = []
    }

    /// The digests of the blocks since the last call, in order. More may be waiting until ``flush()`` or ``finish()``.
    package mutating func take() -> [SHA256.Digest] {
        defer { digests.removeAll(keepingCapacity: true) }
        return digests
    }

    /// Hashes the whole blocks that wait.
    package mutating func flush() {
        let whole = gathered.count / blockSize * blockSize
        guard whole > 0 else { return }
        let full = gathered
        gathered = []
        hash(full.span.bytes.extracting(first: whole))
        if full.count > whole { gathered = Array(full[whole...]) }
    }

    /// - Returns: how many bytes were taken.
    private mutating func gather(_ bytes: RawSpan) -> Int {
        let count = min(blockSize * Self.gatheredBlocks - gathered.count, bytes.byteCount)
        bytes.extracting(first: count).withUnsafeBytes { gathered.append(contentsOf: $0) }
        if gathered.count == blockSize * Self.gatheredBlocks {
            hashGathered(completedBy: bytes.extracting(first: 0), before: bytes.extracting(first: 0))
        }
        return count
    }

    private mutating func hash(_ blocks: RawSpan) {
        SHA256.hash(blocks: blocks, of: blockSize, into: &digests)
    }
}
