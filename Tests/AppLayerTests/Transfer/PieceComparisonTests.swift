import DeP2PQUIC
import DeP2PSimulation
import Testing

@testable import DeP2PApp

/// What a claim is worth, decided on the sender's own bytes.
@Suite struct PieceComparisonTests {
    private static let exponent = 20
    private static let piece = 1 << exponent

    private static func root(_ bytes: ArraySlice<UInt8>) -> MerkleHasher {
        var hasher = MerkleHasher()
        Chunk(bytes).withBytes { hasher.update($0) }
        return hasher
    }

    /// What a receiver that holds `bytes` of a file of `size` claims.
    private static func claim(_ bytes: [UInt8], size: UInt64?) -> HeldFile.Content {
        let roots = stride(from: 0, to: bytes.count, by: piece).map { start in
            HeldPrefix.pieceRoot(
                root(bytes[start..<min(start + piece, bytes.count)]), exponent: exponent, size: size)
        }
        return .pieces(exponent: exponent, roots)
    }

    /// Reads the sender's `bytes` as far as is wanted, in steps of any length.
    private static func compare(
        _ bytes: [UInt8], with claim: HeldFile.Content, size: UInt64?, keep: Bool = false,
        using random: inout SplitMix64
    ) -> (comparison: PieceComparison, read: Int) {
        var comparison = PieceComparison(claim: claim, size: size)
        var position = 0
        while let wanted = comparison.wanted(at: UInt64(position)) {
            let count = min(Int(clamping: wanted), .random(in: 1...400_000, using: &random), bytes.count - position)
            guard count > 0 else { break }
            comparison.add(Chunk(bytes[position..<position + count]), keep: keep)
            position += count
        }
        return (comparison, position)
    }

    /// The tree of the whole, continued from where sending starts, is the file's.
    private static func isContinued(_ comparison: PieceComparison, _ bytes: [UInt8]) -> Bool {
        let (offset, begun) = comparison.outcome
        guard offset < bytes.count else { return begun.root() == root(bytes[...]).root() }
        var hasher = begun
        Chunk(bytes[Int(offset)...]).withBytes { hasher.update($0) }
        return hasher.root() == root(bytes[...]).root()
    }

    @Test func sendingStartsAtTheFirstPieceThatDiffers() {
        var random = SplitMix64(seed: 41)
        let size = 3 * Self.piece + 12_345
        let bytes = random.bytes(size)
        for damaged in 0...3 {
            var held = bytes
            held[damaged * Self.piece + 777] ^= 1
            let (comparison, read) = Self.compare(
                bytes, with: Self.claim(held, size: UInt64(size)), size: UInt64(size), using: &random)
            #expect(comparison.isDecided && comparison.outcome.offset == UInt64(damaged * Self.piece))
            #expect(read == min((damaged + 1) * Self.piece, size), "nothing is read beyond the piece that differs")
            #expect(Self.isContinued(comparison, bytes))
        }
    }

    @Test(arguments: [1, 16_384, piece - 1, piece, piece + 1, 2 * piece, 2 * piece + 20_000])
    func whatIsAllHeldIsNotSentAgain(size: Int) {
        var random = SplitMix64(seed: UInt64(size))
        let bytes = random.bytes(size)
        for claim in [Self.claim(bytes, size: UInt64(size)), .whole(Self.root(bytes[...]).root())] {
            let (comparison, read) = Self.compare(bytes, with: claim, size: UInt64(size), using: &random)
            #expect(comparison.isDecided && comparison.outcome.offset == UInt64(size) && read == size)
            #expect(Self.isContinued(comparison, bytes))
        }
    }

    @Test func aPieceThatWasNotComparedToItsEndCountsAsDifferent() {
        var random = SplitMix64(seed: 42)
        let bytes = random.bytes(2 * Self.piece)
        var comparison = PieceComparison(claim: Self.claim(bytes, size: nil), size: nil)
        comparison.add(Chunk(bytes[..<Self.piece]), keep: false)
        comparison.add(Chunk(bytes[Self.piece..<2 * Self.piece - 1]), keep: false)
        #expect(!comparison.isDecided && comparison.outcome.offset == UInt64(Self.piece))
        #expect(Self.isContinued(comparison, bytes))
    }

    /// A pipe can't be read again: what was read of the piece that differs is kept, and no more than that.
    @Test func ofAStreamThePieceThatDiffersIsKept() {
        var random = SplitMix64(seed: 43)
        let bytes = random.bytes(3 * Self.piece)
        var held = bytes
        held[Self.piece + 5] ^= 0x80
        let (comparison, read) = Self.compare(
            bytes, with: Self.claim(held, size: nil), size: nil, keep: true, using: &random)
        #expect(read == 2 * Self.piece && comparison.outcome.offset == UInt64(Self.piece))
        #expect(comparison.kept.flatMap { $0.array() } == Array(bytes[Self.piece..<2 * Self.piece]))
    }

    /// Of a hole nothing is read, and it compares like the zeros that it is.
    @Test func zerosAsANumberAreZeros() {
        let size = 2 * Self.piece
        let claim = Self.claim([UInt8](repeating: 0, count: size), size: UInt64(size))
        var comparison = PieceComparison(claim: claim, size: UInt64(size))
        comparison.add(Chunk([0, 0, 0]), keep: false)
        while let wanted = comparison.wanted(at: comparison.outcome.offset) { comparison.add(zeros: wanted) }
        #expect(comparison.isDecided && comparison.outcome.offset == UInt64(size))
    }

    @Test func anEmptyFileIsComparedWithNothing() {
        let comparison = PieceComparison(claim: .whole(MerkleHasher().root()), size: 0)
        #expect(comparison.wanted(at: 0) == nil && comparison.outcome.offset == 0)
    }

    /// The receiver's arithmetic, which has the offset alone, gives the sender's tree.
    @Test func bothSidesContinueTheSameTree() {
        var random = SplitMix64(seed: 44)
        let size = 2 * Self.piece + 99
        let bytes = random.bytes(size)
        let claim = Self.claim(bytes, size: UInt64(size))
        for count in 0...3 {
            let (offset, tree) = HeldPrefix.tree(of: claim, pieces: count, size: UInt64(size))
            let other = HeldPrefix.tree(of: claim, offset: offset, size: UInt64(size))
            #expect(offset == UInt64(min(count * Self.piece, size)) && tree.root() == other.root())
            #expect(tree.byteCount == other.byteCount)
        }
        #expect(HeldPrefix.tree(of: nil, offset: 7, size: 9).byteCount == 0)
    }
}
