import Testing

@testable import Identity

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
        var generator = SeededGenerator(seed: 3)
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
}
