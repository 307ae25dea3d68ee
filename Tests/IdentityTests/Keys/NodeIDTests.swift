import Testing

@testable import DeP2PIdentity

@Suite struct NodeIDTests {
    @Test func everyTextFormOfTheSpecification() throws {
        for row in try Vectors.rows("peer-id-texts.txt") {
            #expect(try NodeID(row[0]).description == row[1], "\(row[0])")
        }
    }

    @Test func keyIsInsideAndSignaturesCheckWithTheIDAlone() throws {
        let key = IdentityKey.generate()
        let id = try NodeID(key.nodeID.description)
        #expect(id == key.nodeID)
        #expect(id.description.hasPrefix("12D3KooW") && id.description.utf8.count == 52)
        #expect(id.bytes.count == 38)
        #expect(try #require(id.publicKey).isValidSignature(key.sign([1]), for: [1]))
        #expect(id.description.hasSuffix(id.short.dropFirst()))
        #expect(try NodeID(id.cid) == id)
    }

    /// A table of nodes must not become a list because of names that are chosen for it.
    @Test func hashDependsOnEveryByte() throws {
        let id = IdentityKey.generate().nodeID
        #expect(try NodeID(bytes: id.bytes).hashValue == id.hashValue)
        let hashes = try (id.bytes.count - 32..<id.bytes.count).map { index in
            var bytes = id.bytes
            bytes[index] ^= 1
            return try NodeID(bytes: bytes).hashValue
        }
        #expect(Set(hashes + [id.hashValue]).count == 33)
    }

    @Test func hashedIDsHaveNoKey() throws {
        #expect(try NodeID("QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N").publicKey == nil)
    }

    @Test func idWithoutAPointOfTheCurveHasNoKey() throws {
        let id = try NodeID(bytes: [0, 36, 8, 1, 0x12, 32] + [UInt8](repeating: 0, count: 32))
        #expect(id.publicKey == nil)
    }

    @Test func orderIsThatOfTheBytes() {
        let ids = (0..<50).map { _ in IdentityKey.generate().nodeID }.sorted()
        for (left, right) in zip(ids, ids.dropFirst()) {
            #expect(left.bytes.lexicographicallyPrecedes(right.bytes))
        }
    }

    /// An identity multihash of a key that must be hashed, other hash functions, wrong lengths, keys that are none.
    @Test func multihashesThatAreNotCanonical() throws {
        let rsa = try Vectors.bytes(Vectors.rows("peer-ids.txt").filter { $0[0] == "rsa" }[0][1])
        let good = IdentityKey.generate().nodeID.bytes
        let hash = [UInt8](repeating: 7, count: 32)
        let cases: [[UInt8]] = [
            [], [0], [0, 0], [0x12, 0x20], [0x12, 0x1f] + hash.dropLast(), [0x12, 0x20] + hash + [0],
            [0x13, 0x20] + hash,
            [0, 42] + rsa.prefix(42), [0, UInt8(truncatingIfNeeded: rsa.count)] + rsa, good + [0],
            [UInt8](good.dropLast()), [0, 37] + good.dropFirst(2) + [0], [0, 36, 8, 2] + good.dropFirst(4),
            [0, 36, 8, 0] + good.dropFirst(4), [0, 0xa4, 0x00] + good.dropFirst(2), [0x92, 0x00, 0x20] + hash,
        ]
        for bytes in cases {
            #expect(throws: IdentityError(.malformedNodeID, ""), "\(Hex.encode(bytes))") { try NodeID(bytes: bytes) }
        }
    }

    @Test(arguments: [
        "", "1", "Q", "Qm", "12D3KooW", "hello", "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5S",
        "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA ", "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5S0",
        " 12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA", "b",
        "bafzbeie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqx",
        "bafkreie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe", "zz", "k", "f0172", "f017200", "m0172",
        "/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA",
    ])
    func textsThatAreNoID(text: String) {
        #expect(throws: IdentityError(.malformedNodeID, "")) { try NodeID(text) }
    }

    @Test func longTextIsRefusedUnread() {
        #expect(throws: IdentityError(.malformedNodeID, "")) { try NodeID(String(repeating: "1", count: 1_000_000)) }
    }

    @Test func hostileBytesAndTexts() throws {
        let ids = try Vectors.rows("peer-id-texts.txt")
        let bytes = try ids.map { try NodeID($0[0]).bytes }
        try forEachHostileVariant(of: bytes, rounds: 1000) { bytes in
            guard let id = try? NodeID(bytes: bytes) else { return }
            #expect(id.bytes == bytes && (try? NodeID(id.description)) == id)
        }
        try forEachHostileVariant(of: ids.map { [UInt8]($0[0].utf8) }, rounds: 1000) { text in
            guard let id = try? NodeID(String(decoding: text, as: UTF8.self)) else { return }
            #expect((try? NodeID(id.description)) == id)
        }
    }
}
