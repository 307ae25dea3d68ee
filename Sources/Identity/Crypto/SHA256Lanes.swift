internal import CDeP2PIPSecMB

extension SHA256 {
    /// Fewer blocks than this are hashed faster one after another.
    static let leastBlocks = min(HashLanes.together, 6)
    /// Blocks that one call of the library takes: as many as its widest vector unit has lanes, several times.
    private static let blocksAtOnce = 64

    /// Appends the digests of the blocks of `size` bytes that `bytes` consists of, in order; side by side in the lanes of the
    /// processor's vector unit where it has them, at several times the speed.
    ///
    /// - Parameter bytes: a whole number of blocks; what is beyond the last is not looked at.
    package static func hash(blocks bytes: RawSpan, of size: Int, into digests: inout [Digest]) {
        hash(after: bytes.extracting(first: 0), blocks: bytes, of: size, into: &digests)
    }

    /// As ``hash(blocks:of:into:)``, with blocks before them that lie elsewhere.
    ///
    /// - Parameter first: a whole number of blocks, ``blocksAtOnce`` at most.
    package static func hash(
        after first: RawSpan, blocks bytes: RawSpan, of size: Int, into digests: inout [Digest]
    ) {
        precondition(size > 0, "a block has a byte at least")
        let before = first.byteCount / size
        precondition(first.byteCount % size == 0 && before <= blocksAtOnce, "the first bytes are whole blocks, and few")
        let all = before + bytes.byteCount / size
        // Blocks that are hashed.
        var done = 0
        if all >= leastBlocks {
            HashLanes.shared.borrow { lanes in
                while done < all {
                    let elsewhere = done == 0 ? first : first.extracting(first: 0)
                    let start = max(done, before)
                    let end = min(done + blocksAtOnce, all)
                    let part = bytes.extracting((start - before) * size..<(end - before) * size)
                    guard hash(elsewhere, part, count: end - done, of: size, in: lanes, into: &digests) else {
                        return false
                    }
                    done = end
                }
                return true
            }
        }
        while done < all {
            let position = done < before ? done : done - before
            let holder = done < before ? first : bytes
            digests.append(hash(holder.extracting(position * size..<(position + 1) * size)))
            done += 1
        }
    }

    /// - Parameter count: the blocks in both.
    private static func hash(
        _ first: RawSpan, _ bytes: RawSpan, count: Int, of size: Int, in lanes: OpaquePointer,
        into digests: inout [Digest]
    ) -> Bool {
        withUnsafeTemporaryAllocation(of: Digest.Words.self, capacity: count) { words in
            // Proof: the two hold size bytes for each of `count` blocks together, `words` 32 bytes for each of them, and the call
            // keeps none of these.
            let status = first.withUnsafeBytes { first in
                bytes.withUnsafeBytes { data in
                    dep2p_hash_lanes_sha256(
                        lanes, first.baseAddress, first.count / size, data.baseAddress, count - first.count / size,
                        size,
                        UnsafeMutableRawPointer(words.baseAddress))
                }
            }
            guard status == 0 else { return false }
            for index in 0..<count { digests.append(Digest(networkWords: words[index])) }
            return true
        }
    }
}
