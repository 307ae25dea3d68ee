internal import CDeP2PIPSecMB

extension SHA256 {
    /// Fewer blocks than this are hashed faster one after another.
    static let leastBlocks = 6
    /// Blocks that one call of the library takes: as many as its widest vector unit has lanes, several times.
    private static let blocksAtOnce = 64

    /// Appends the digests of the blocks of `size` bytes that `bytes` consists of, in order; side by side in the lanes of the
    /// processor's vector unit where it has them, at several times the speed.
    ///
    /// - Parameter bytes: a whole number of blocks; what is beyond the last is not looked at.
    package static func hash(blocks bytes: RawSpan, of size: Int, into digests: inout [Digest]) {
        hash(after: bytes.extracting(first: 0), blocks: bytes, of: size, into: &digests)
    }

    /// As ``hash(blocks:of:into:)``, with a block before them that lies elsewhere.
    ///
    /// - Parameter first: a block, or nothing.
    package static func hash(
        after first: RawSpan, blocks bytes: RawSpan, of size: Int, into digests: inout [Digest]
    ) {
        precondition(size > 0, "a block has a byte at least")
        precondition(first.isEmpty || first.byteCount == size, "the first block is as long as the others")
        let end = bytes.byteCount / size * size
        // Where bytes that are not hashed yet begin; before the first block at -size.
        var position = first.isEmpty ? 0 : -size
        if (end - position) / size >= leastBlocks {
            HashLanes.shared.borrow { lanes in
                while position < end {
                    let count = min((end - max(position, 0)) / size, blocksAtOnce)
                    let start = max(position, 0)
                    let part = bytes.extracting(start..<start + count * size)
                    let before = position < 0 ? first : first.extracting(first: 0)
                    guard hash(before, part, count: count, of: size, in: lanes, into: &digests) else { return false }
                    position = start + count * size
                }
                return true
            }
        }
        if position < 0 {
            digests.append(hash(first))
            position = 0
        }
        while position < end {
            digests.append(hash(bytes.extracting(position..<position + size)))
            position += size
        }
    }

    private static func hash(
        _ first: RawSpan, _ bytes: RawSpan, count: Int, of size: Int, in lanes: OpaquePointer,
        into digests: inout [Digest]
    ) -> Bool {
        let all = count + (first.isEmpty ? 0 : 1)
        return withUnsafeTemporaryAllocation(of: Digest.Words.self, capacity: all) { words in
            // Proof: `first` holds size bytes or none, `bytes` count * size, `words` 32 bytes for each of all of them, and the
            // call keeps none of these.
            let status = first.withUnsafeBytes { first in
                bytes.withUnsafeBytes { data in
                    dep2p_hash_lanes_sha256(
                        lanes, first.isEmpty ? nil : first.baseAddress, data.baseAddress, count, size,
                        UnsafeMutableRawPointer(words.baseAddress))
                }
            }
            guard status == 0 else { return false }
            for index in 0..<all { digests.append(Digest(networkWords: words[index])) }
            return true
        }
    }
}
