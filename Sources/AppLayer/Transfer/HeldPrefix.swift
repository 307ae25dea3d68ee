internal import DeP2PQUIC

/// The arithmetic of claimed pieces, the same on both sides.
enum HeldPrefix {
    /// The root with which a piece is claimed: a subtree of its full height; of a file that fits into one piece, the
    /// file's own root (BEP 52 has no piece layer for those).
    static func pieceRoot(_ piece: MerkleHasher, exponent: Int, size: UInt64?) -> MerkleRoot {
        if let size, size <= 1 << UInt64(exponent) { return piece.root() }
        return piece.subtreeRoot(level: MerkleTree.level(pieceExponent: exponent))
    }

    /// The offset behind the first `count` claimed pieces, and the tree over them.
    static func tree(
        of claim: HeldFile.Content, pieces count: Int, size: UInt64?
    ) -> (offset: UInt64, hasher: MerkleHasher) {
        guard count > 0 else { return (0, MerkleHasher()) }
        switch claim {
        case .whole(let root): return (size ?? 0, MerkleHasher(pieces: [root], level: 0))
        case .pieces(let exponent, let roots):
            let end = UInt64(count) << UInt64(exponent)
            let level = MerkleTree.level(pieceExponent: exponent)
            return (min(end, size ?? .max), MerkleHasher(pieces: roots.prefix(count), level: level))
        }
    }

    /// The tree over the first `offset` bytes of what is claimed.
    static func tree(of claim: HeldFile.Content?, offset: UInt64, size: UInt64?) -> MerkleHasher {
        guard let claim, offset > 0 else { return MerkleHasher() }
        switch claim {
        case .whole: return tree(of: claim, pieces: 1, size: size).hasher
        case .pieces(let exponent, let roots):
            let full = offset >> UInt64(exponent)
            let count = offset.isMultiple(of: 1 << UInt64(exponent)) ? full : full + 1
            return tree(of: claim, pieces: Int(min(count, UInt64(roots.count))), size: size).hasher
        }
    }
}
