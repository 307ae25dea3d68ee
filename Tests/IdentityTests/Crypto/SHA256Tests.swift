import DeP2PSimulation
import Testing

@testable import DeP2PIdentity

@Suite struct SHA256Tests {
    @Test func vectorsInOnePieceAndInMany() throws {
        for row in try Vectors.rows("sha256.txt") {
            let unit = try Vectors.bytes(row[0])
            let count = try #require(Int(row[1]))
            var whole: [UInt8] = []
            var hasher = SHA256()
            for _ in 0..<count {
                whole += unit
                hasher.update(unit)
            }
            #expect(SHA256.hash(whole).hex == row[2])
            #expect(hasher.finalize().hex == row[2])
        }
    }

    @Test func spanAndArrayAgree() {
        let bytes = [UInt8](0...255)
        #expect(SHA256.hash(bytes.span.bytes) == SHA256.hash(bytes))
    }

    @Test func pairIsTheHashOfBothInARow() {
        let (left, right) = (SHA256.hash([1]), SHA256.hash([2]))
        #expect(SHA256.hash(left, right) == SHA256.hash(left.bytes + right.bytes))
        #expect(SHA256.hash(left, right) != SHA256.hash(right, left))
    }

    @Test func digestsKeepTheirBytesAndOrderLikeThem() throws {
        var generator = SplitMix64(seed: 3)
        for _ in 0..<200 {
            let (first, second) = (generator.bytes(32), generator.bytes(32))
            let left = try #require(SHA256.Digest(bytes: first))
            let right = try #require(SHA256.Digest(bytes: second))
            #expect(left.bytes == first)
            #expect((left < right) == first.lexicographicallyPrecedes(second))
        }
        #expect(SHA256.Digest.zero.bytes == [UInt8](repeating: 0, count: 32))
        #expect(SHA256.Digest(bytes: [UInt8](repeating: 0, count: 31)) == nil)
        #expect(SHA256.Digest(bytes: [UInt8](repeating: 0, count: 33)) == nil)
    }

    @Test(arguments: [0, 1, 5, 6, 15, 16, 17, 64, 65, 131])
    func blocksAtOnceAreTheHashesOfEach(count: Int) {
        var generator = SplitMix64(seed: UInt64(count))
        for size in [1, 64, 1_000, 16_384] {
            let bytes = generator.bytes(count * size)
            var digests: [SHA256.Digest] = []
            SHA256.hash(blocks: bytes.span.bytes, of: size, into: &digests)
            #expect(digests == (0..<count).map { SHA256.hash(Array(bytes[$0 * size..<($0 + 1) * size])) })
            for before in [1, 2, 7, 64] {
                let first = generator.bytes(before * size)
                var more: [SHA256.Digest] = []
                SHA256.hash(after: first.span.bytes, blocks: bytes.span.bytes, of: size, into: &more)
                #expect(more == (0..<before).map { SHA256.hash(Array(first[$0 * size..<($0 + 1) * size])) } + digests)
            }
        }
    }

    @Test func blocksOfAStreamAreThoseOfItsBytesHoweverItIsCut() {
        var generator = SplitMix64(seed: 11)
        for round in 0..<100 {
            let size = [7, 64, 1_000][round % 3]
            let bytes = generator.bytes(Int(generator.next() % 40_000))
            var hasher = BlockHasher(blockSize: size)
            var digests: [SHA256.Digest] = []
            var position = 0
            while position < bytes.count {
                // Few enough that they wait, or many at once.
                let most = generator.next() % 2 == 0 ? 3 * size : 20_000
                let length = min(Int(generator.next() % UInt64(most)) + 1, bytes.count - position)
                hasher.update(bytes.span.bytes.extracting(position..<position + length))
                position += length
                #expect(hasher.isBetweenBlocks == (position % size == 0))
                if generator.next() % 4 == 0 { hasher.flush() }
                digests += hasher.take()
            }
            hasher.finish()
            digests += hasher.take()
            let expected = stride(from: 0, to: bytes.count, by: size).map {
                SHA256.hash(Array(bytes[$0..<min($0 + size, bytes.count)]))
            }
            #expect(digests == expected)
        }
    }
}
