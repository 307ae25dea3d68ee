internal import DeP2PReactor
import Glibc
import Synchronization

/// Memory for chunks; keeps a bounded number of blocks of the pooled size.
enum ChunkMemory {
    static let maxPooled = 32  // 8 MiB
    private static let pool = Mutex<[Block]>([])

    // Proof for @unchecked: a block is in the list or owned by exactly one chunk, never both; it changes hands under the
    // mutex.
    private struct Block: @unchecked Sendable {
        let base: UnsafeMutableRawPointer
    }

    #if DEBUG
        /// What is freed reads as this from then on: whoever still points at it is noticed.
        static let poison: UInt8 = 0xdb
        /// Where freed blocks go while a test looks whether anyone still reads them.
        private static let graveyard = Mutex<[Block]?>(nil)

        /// Keeps what is freed while `body` runs.
        @NetworkActor
        static func keepingFreed(_ body: @NetworkActor () async throws -> Void) async rethrows {
            graveyard.withLock { $0 = $0 ?? [] }
            defer { for block in graveyard.withLock({ $0.take() }) ?? [] { Glibc.free(block.base) } }
            try await body()
        }

        private static func bury(_ block: Block, _ capacity: Int) -> Bool {
            // Not byte for byte in Swift, which was a third of what a simulated network took in a debug build.
            memset(block.base, Int32(poison), capacity)
            return graveyard.withLock { graveyard in
                graveyard?.append(block)
                return graveyard != nil
            }
        }
    #endif

    static func take(_ capacity: Int) -> UnsafeMutableRawPointer {
        if capacity == Chunk.pooledCapacity, let block = pool.withLock({ $0.popLast() }) { return block.base }
        // `allocate` would ask for a given alignment, for which a larger block is cut, and put together again later.
        guard let base = malloc(capacity) else { preconditionFailure("out of memory") }
        return base
    }

    static func give(_ base: UnsafeMutableRawPointer, _ capacity: Int) {
        let block = Block(base: base)
        #if DEBUG
            if bury(block, capacity) { return }
        #endif
        let kept =
            capacity == Chunk.pooledCapacity
            && pool.withLock { pool in
                guard pool.count < maxPooled else { return false }
                pool.append(block)
                return true
            }
        if !kept { Glibc.free(base) }
    }
}
