internal import DeP2PQUIC

/// Finds how much of a file the receiver really holds: hashes the sender's own bytes piece by piece until one differs
/// from the receiver's claim.
struct PieceComparison {
    private let claim: HeldFile.Content
    private let size: UInt64?
    private var matched: [MerkleRoot] = []
    private var piece = MerkleHasher()
    private(set) var isDecided = false
    /// The bytes of the piece at hand, where they cannot be read again.
    private(set) var kept: [Chunk] = []

    init(claim: HeldFile.Content, size: UInt64?) {
        self.claim = claim
        self.size = size
    }

    private var pieceSize: UInt64 {
        switch claim {
        case .pieces(let exponent, _): 1 << UInt64(exponent)
        case .whole: size ?? 0
        }
    }

    private var roots: [MerkleRoot] {
        switch claim {
        case .pieces(_, let roots): roots
        case .whole(let root): [root]
        }
    }

    /// The bytes to add next, having read `position`; `nil` when none are.
    func wanted(at position: UInt64) -> UInt64? {
        guard !isDecided, pieceSize > 0 else { return nil }
        let inPiece = pieceSize - piece.byteCount
        let inFile = size.map { $0 - min(position, $0) } ?? .max
        let wanted = min(inPiece, inFile)
        return wanted == 0 ? nil : wanted
    }

    /// Adds what was wanted, or less.
    mutating func add(_ chunk: Chunk, keep: Bool) {
        chunk.withBytes { piece.update($0) }
        if keep, chunk.count > 0 { kept.append(chunk) }
        closePiece()
    }

    /// Adds zeros: as many as were wanted, or less.
    mutating func add(zeros count: UInt64) {
        piece.append(zeros: count)
        closePiece()
    }

    private mutating func closePiece() {
        let end = UInt64(matched.count) * pieceSize + piece.byteCount
        guard piece.byteCount == pieceSize || end == size else { return }
        guard roots[matched.count] == pieceRoot() else {
            isDecided = true
            return
        }
        matched.append(roots[matched.count])
        piece = MerkleHasher()
        kept = []
        isDecided = matched.count == roots.count
    }

    /// Where sending starts, and the tree over what comes before. A piece that was not compared to its end counts as
    /// different.
    var outcome: (offset: UInt64, hasher: MerkleHasher) {
        HeldPrefix.tree(of: claim, pieces: matched.count, size: size)
    }

    private func pieceRoot() -> MerkleRoot {
        guard case .pieces(let exponent, _) = claim else { return piece.root() }
        return HeldPrefix.pieceRoot(piece, exponent: exponent, size: size)
    }
}
