import Testing

@testable import DeP2PIdentity

@Suite struct IdentityKeyTests {
    @Test func seedMakesTheSameKeyAndIsGivenBack() throws {
        let seed = [UInt8](0..<32)
        let (first, second) = (try IdentityKey(seed: seed), try IdentityKey(seed: seed))
        #expect(first.publicKey == second.publicKey)
        #expect(first.withSeed { [UInt8]($0) } == seed)
        #expect(IdentityKey.generate().nodeID != IdentityKey.generate().nodeID)
    }

    @Test(arguments: [0, 31, 33, 64])
    func otherLengthsAreRefused(count: Int) {
        #expect(throws: IdentityError(.malformedSeed, "")) {
            try IdentityKey(seed: [UInt8](repeating: 1, count: count))
        }
    }

    @Test func descriptionTellsNoSecret() throws {
        let key = try IdentityKey(seed: [UInt8](0..<32))
        var dumped = ""
        dump(key, to: &dumped)
        for text in ["\(key)", String(reflecting: key), dumped] {
            #expect(!text.contains(Hex.encode([UInt8](0..<32))) && !text.contains("0, 1, 2, 3"))
        }
        #expect("\(key)" == "identity key of \(key.nodeID)")
    }
}
