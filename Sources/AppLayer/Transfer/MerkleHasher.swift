package import DeP2PIdentity

/// The SHA-256 Merkle tree of BitTorrent v2 (BEP 52), computed while the bytes stream by.
///
/// Leaves are the hashes of 16 KiB blocks (the last one shorter, not padded). The leaf layer is padded with zero
/// hashes to a power of two; a node is the hash of its two children. Calling order: `init`, then `update` with the
/// bytes in order, `append` with whole subtrees or with zeros, then `root()`.
///
/// Memory: one node a level, so 48 nodes are enough for any file, and up to 16 blocks that wait to be hashed together.
package struct MerkleHasher: Sendable {
    /// Bytes under one leaf.
    package static let blockSize = 16 * 1024

    private struct Node: Sendable {
        let level: Int
        let digest: SHA256.Digest
    }

    /// Complete subtrees from left to right, their levels strictly falling: the binary digits of the leaf count.
    private var nodes: [Node] = []
    private var blocks = BlockHasher(blockSize: blockSize)

    /// Bytes seen, those under appended subtrees included.
    package private(set) var byteCount: UInt64 = 0

    package init() {}

    /// Continues after `pieces`: whole subtrees of height `level` (0 is a leaf).
    package init(pieces: some Collection<SHA256.Digest>, level: Int) {
        for piece in pieces { append(piece, level: level) }
    }

    package mutating func update(_ bytes: RawSpan) {
        blocks.update(bytes)
        pushBlocks()
        byteCount += UInt64(bytes.byteCount)
    }

    /// Appends a whole subtree of height `level`.
    ///
    /// - Precondition: what came before ends on a multiple of the subtree's size.
    package mutating func append(_ subtree: SHA256.Digest, level: Int) {
        precondition(blocks.isBetweenBlocks && level < 48, "a subtree starts where the one before it ends")
        blocks.flush()
        pushBlocks()
        byteCount += UInt64(Self.blockSize) << UInt64(level)
        push(Node(level: level, digest: subtree))
    }

    /// Appends `count` zero bytes, in time that grows with the logarithm of `count`: what is zeros has known subtrees.
    package mutating func append(zeros count: UInt64) {
        let block = UInt64(Self.blockSize)
        var rest = count
        let begun = byteCount % block
        if begun > 0 { hashZeros(&rest, atMost: block - begun) }
        while rest >= block {
            // The largest that begins here and is not too long.
            let fitting = 63 - (rest / block).leadingZeroBitCount
            let level = min((byteCount / block).trailingZeroBitCount, fitting, MerkleTree.greatestZeros)
            append(MerkleTree.zeros(level: level), level: level)
            rest -= block << UInt64(level)
        }
        hashZeros(&rest, atMost: block)
    }

    private mutating func hashZeros(_ rest: inout UInt64, atMost limit: UInt64) {
        let count = min(rest, limit)
        guard count > 0 else { return }
        update(MerkleTree.zeroBlock.span.bytes.extracting(first: Int(count)))
        rest -= count
    }

    /// BEP 52 `pieces root`: the root over everything so far; all zeros for no bytes (the BEP gives those no root).
    package func root() -> SHA256.Digest {
        closed(atLeast: 0)
    }

    /// The root of a subtree exactly `level` high that holds what came so far, the rest of it zero leaves: an entry
    /// of BEP 52's piece layer.
    package func subtreeRoot(level: Int) -> SHA256.Digest {
        closed(atLeast: level)
    }

    private mutating func pushBlocks() {
        for digest in blocks.take() { push(Node(level: 0, digest: digest)) }
    }

    private mutating func push(_ node: Node) {
        var node = node
        while let left = nodes.last, left.level == node.level {
            nodes.removeLast()
            node = Node(level: node.level + 1, digest: SHA256.hash(left.digest, node.digest))
        }
        nodes.append(node)
    }

    private func closed(atLeast level: Int) -> SHA256.Digest {
        var copy = self
        copy.blocks.finish()
        copy.pushBlocks()
        guard var node = copy.nodes.popLast() else { return MerkleTree.padding(level: level) }
        while let left = copy.nodes.popLast() {
            node = Self.raise(node, to: left.level)
            node = Node(level: left.level + 1, digest: SHA256.hash(left.digest, node.digest))
        }
        return Self.raise(node, to: level).digest
    }

    /// Pads with zero leaves on the right.
    private static func raise(_ node: Node, to level: Int) -> Node {
        var node = node
        while node.level < level {
            let padded = SHA256.hash(node.digest, MerkleTree.padding(level: node.level))
            node = Node(level: node.level + 1, digest: padded)
        }
        return node
    }
}

/// Facts of BEP 52 trees that need no bytes.
package enum MerkleTree {
    /// The root of `1 << level` zero leaves; 32 zero bytes for one.
    static func padding(level: Int) -> SHA256.Digest {
        level < paddings.count ? paddings[level] : .zero
    }

    private static let paddings: [SHA256.Digest] = {
        var all = [SHA256.Digest.zero]
        for _ in 1..<49 { all.append(SHA256.hash(all[all.count - 1], all[all.count - 1])) }
        return all
    }()

    /// The root over bytes that are all at hand: of a small file without making a tree.
    package static func root(of bytes: RawSpan) -> SHA256.Digest {
        guard bytes.byteCount > 0 else { return .zero }
        guard bytes.byteCount > MerkleHasher.blockSize else { return SHA256.hash(bytes) }
        var hasher = MerkleHasher()
        hasher.update(bytes)
        return hasher.root()
    }

    /// The highest subtree that ``MerkleHasher/append(_:level:)`` takes.
    static let greatestZeros = 47
    static let zeroBlock = [UInt8](repeating: 0, count: MerkleHasher.blockSize)

    /// The root over `1 << level` blocks of zero bytes.
    static func zeros(level: Int) -> SHA256.Digest { zeroRoots[level] }

    private static let zeroRoots: [SHA256.Digest] = {
        var all = [SHA256.hash(zeroBlock)]
        for _ in 0..<greatestZeros { all.append(SHA256.hash(all[all.count - 1], all[all.count - 1])) }
        return all
    }()

    /// The height of a piece of `1 << exponent` bytes above the leaves.
    static func level(pieceExponent exponent: Int) -> Int { exponent - 14 }

    /// log2 of the piece size in which the two sides compare a partial file of `size` bytes: at least 1 MiB, and at
    /// most ``TransferLimits/piecesPerFile`` pieces.
    static func pieceExponent(size: UInt64) -> Int {
        var exponent = TransferLimits.leastPieceExponent
        while size >> UInt64(exponent) >= UInt64(TransferLimits.piecesPerFile) { exponent += 1 }
        return exponent
    }
}
