internal import CIPSecMB

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
        precondition(size > 0, "a block has a byte at least")
        var position = 0
        let end = bytes.byteCount / size * size
        if end / size >= leastBlocks {
            HashLanes.shared.borrow { lanes in
                while position < end {
                    let count = min((end - position) / size, blocksAtOnce)
                    let part = bytes.extracting(position..<position + count * size)
                    guard hash(part, count: count, of: size, in: lanes, into: &digests) else { return false }
                    position += count * size
                }
                return true
            }
        }
        while position < end {
            digests.append(hash(bytes.extracting(position..<position + size)))
            position += size
        }
    }

    private static func hash(
        _ bytes: RawSpan, count: Int, of size: Int, in lanes: OpaquePointer, into digests: inout [Digest]
    ) -> Bool {
        withUnsafeTemporaryAllocation(of: Digest.Words.self, capacity: count) { words in
            // Proof: `bytes` holds count * size bytes, `words` 32 bytes for each of them, and the call keeps neither.
            let status = bytes.withUnsafeBytes { data in
                dep2p_hash_lanes_sha256(
                    lanes, data.baseAddress, count, size, UnsafeMutableRawPointer(words.baseAddress))
            }
            guard status == 0 else { return false }
            for index in 0..<count { digests.append(Digest(networkWords: words[index])) }
            return true
        }
    }
}
