import Testing

@testable import DeP2PIdentity

@Suite struct SodiumTests {
    @Test func constantTimeEqualTellsEveryBitApart() {
        let bytes = [UInt8](0..<32)
        #expect(constantTimeEqual(bytes, bytes))
        #expect(constantTimeEqual([], []))
        #expect(!constantTimeEqual(bytes, [UInt8](bytes.dropLast())))
        for index in bytes.indices {
            for bit in 0..<8 {
                var other = bytes
                other[index] ^= 1 << UInt8(bit)
                #expect(!constantTimeEqual(bytes, other))
            }
        }
    }

    @Test func randomBytesHaveTheLengthAskedForAndDiffer() {
        #expect(SecureRandom.bytes(0) == [])
        #expect(SecureRandom.bytes(33).count == 33)
        #expect(SecureRandom.bytes(32) != SecureRandom.bytes(32))
        #expect(Set((0..<64).map { _ in SecureRandom.uint64() }).count == 64)
    }

    @Test func wipeEmpties() {
        var secret: [UInt8] = [1, 2, 3]
        wipe(&secret)
        #expect(secret.isEmpty)
    }

    @Test func secretsCompareByContent() {
        let secret = SecretBytes([1, 2, 3])
        #expect(secret.copy() == [1, 2, 3])
        #expect(secret.isEqual(to: SecretBytes([1, 2, 3])))
        #expect(!secret.isEqual(to: SecretBytes([1, 2, 4])))
        #expect(!secret.isEqual(to: SecretBytes([1, 2])))
    }
}
