import Testing

@testable import DeP2PIdentity

@Suite struct RandomSourceTests {
    /// Short ones are drawn for many at a time: none comes twice, at the ends of what was drawn either.
    @Test func noShortBytesComeTwice() {
        let random = RandomSource.system
        for count in [8, 18, 20] {
            let drawn = (0..<500).map { _ in random.bytes(count) }
            #expect(Set(drawn).count == drawn.count)
            #expect(drawn.allSatisfy { $0.count == count && $0.contains { $0 != 0 } })
            #expect(Set(drawn.map { Array($0.prefix(8)) }).count == drawn.count)
        }
    }

    @Test func bytesHaveTheLengthAskedFor() {
        for count in 0...64 { #expect(RandomSource.system.bytes(count).count == count) }
    }
}
