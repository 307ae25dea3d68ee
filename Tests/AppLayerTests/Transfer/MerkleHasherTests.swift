import DeP2PIdentity
import DeP2PQUIC
import DeP2PSimulation
import Foundation
import Glibc
import Testing

@testable import DeP2PApp

@Suite struct MerkleHasherTests {
    /// `Vectors/bep52.txt`: made with libtorrent by the script beside it.
    private struct Vector {
        let size: Int
        let root: String
        let layer: [String]
    }

    private static func vectors() throws -> [Vector] {
        let path = try #require(Bundle.module.path(forResource: "bep52", ofType: "txt", inDirectory: "Vectors"))
        return String(decoding: try read(path), as: UTF8.self).split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ").map(String.init)
            guard fields.count >= 2, let size = Int(fields[0]) else { return nil }
            return Vector(size: size, root: fields[1], layer: Array(fields.dropFirst(2)))
        }
    }

    private static func content(_ size: Int) -> [UInt8] {
        (0..<UInt64(size)).map { UInt8(truncatingIfNeeded: ($0 &* 2_654_435_761) >> 13) }
    }

    private static func hash(_ bytes: ArraySlice<UInt8>, step: Int = .max) -> MerkleHasher {
        var hasher = MerkleHasher()
        var rest = bytes
        while !rest.isEmpty {
            Chunk(rest.prefix(step)).withBytes { hasher.update($0) }
            rest = rest.dropFirst(step)
        }
        return hasher
    }

    @Test func rootsAndPieceLayersAreThoseOfLibtorrent() throws {
        let vectors = try Self.vectors()
        #expect(vectors.count == 18)
        let content = Self.content(vectors.map(\.size).max() ?? 0)
        for vector in vectors {
            let bytes = content[..<vector.size]
            #expect(Self.hash(bytes).root().hex == vector.root, "\(vector.size) bytes")
            guard vector.size > 1 << 20 else { continue }
            let layer = stride(from: 0, to: vector.size, by: 1 << 20).map { start in
                Self.hash(bytes[start..<min(start + 1 << 20, vector.size)]).subtreeRoot(level: 6)
            }
            #expect(layer.map(\.hex) == vector.layer, "\(vector.size) bytes")
            #expect(MerkleHasher(pieces: layer, level: 6).root().hex == vector.root, "\(vector.size) bytes")
        }
    }

    @Test func anySplittingGivesTheSameRoot() {
        var generator = SplitMix64(seed: 1)
        for _ in 0..<20 {
            let bytes = generator.bytes(Int.random(in: 1...200_000, using: &generator))
            let step = Int.random(in: 1...70_000, using: &generator)
            #expect(Self.hash(bytes[...], step: step).root() == Self.hash(bytes[...]).root())
        }
    }

    @Test func continuingBehindHeldPiecesGivesTheSameRoot() {
        var generator = SplitMix64(seed: 2)
        for pieces in 1...5 {
            let bytes = generator.bytes(pieces << 20 + Int.random(in: 0...1 << 20, using: &generator))
            let roots = (0..<pieces).map { Self.hash(bytes[$0 << 20..<($0 + 1) << 20]).subtreeRoot(level: 6) }
            var hasher = MerkleHasher(pieces: roots, level: 6)
            Chunk(bytes[(pieces << 20)...]).withBytes { hasher.update($0) }
            #expect(hasher.root() == Self.hash(bytes[...]).root())
            #expect(hasher.byteCount == UInt64(bytes.count))
        }
    }

    @Test func nothingHasTheZeroRoot() {
        #expect(MerkleHasher().root() == .zero)
    }

    @Test func zerosHashAsTheBytesTheyAre() {
        var generator = SplitMix64(seed: 7)
        let lengths = [0, 1, 16_383, 16_384, 16_385, 32_768, 65_536, 100_000, 1 << 20, 3 << 20]
        for _ in 0..<40 {
            var (bytes, hasher) = ([UInt8](), MerkleHasher())
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let data = generator.bytes(lengths.randomElement(using: &generator) ?? 0)
                let zeros = lengths.randomElement(using: &generator) ?? 0
                Chunk(data).withBytes { hasher.update($0) }
                hasher.append(zeros: UInt64(zeros))
                bytes += data + Array(repeating: 0, count: zeros)
            }
            #expect(hasher.byteCount == UInt64(bytes.count))
            #expect(hasher.root() == Self.hash(bytes[...]).root())
        }
    }

    /// As many as a file can have, and in as many parts as one likes: the same tree.
    @Test func moreZerosThanAnybodyCanCountAreAFewSteps() {
        var (whole, parts) = (MerkleHasher(), MerkleHasher())
        whole.append(zeros: TransferLimits.fileSize)
        var rest = TransferLimits.fileSize
        while rest > 0 {
            let part = min(rest, rest / 3 + 12_345)
            parts.append(zeros: part)
            rest -= part
        }
        #expect(whole.byteCount == TransferLimits.fileSize && parts.byteCount == TransferLimits.fileSize)
        #expect(whole.root() == parts.root())
        var block = SHA256.hash(Array(repeating: 0, count: MerkleHasher.blockSize))
        for _ in 0..<26 { block = SHA256.hash(block, block) }
        var tebibyte = MerkleHasher()
        tebibyte.append(zeros: 1 << 40)
        #expect(tebibyte.root() == block)
    }

    @Test func pieceSizesKeepClaimsShort() {
        #expect(MerkleTree.pieceExponent(size: 0) == 20)
        #expect(MerkleTree.pieceExponent(size: 4 << 30 - 1) == 20)
        for size in [1, 1 << 20, 4 << 30, 1 << 40, TransferLimits.fileSize, .max] as [UInt64] {
            let exponent = MerkleTree.pieceExponent(size: size)
            #expect((size - 1) >> UInt64(exponent) < UInt64(TransferLimits.piecesPerFile))
        }
    }
}
