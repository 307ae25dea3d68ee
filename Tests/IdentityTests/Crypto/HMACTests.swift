import Testing

@testable import DeP2PIdentity

@Suite struct HMACTests {
    @Test func hmacVectors() throws {
        for row in try Vectors.rows("hmac-sha256.txt") {
            let fields = try row.map(Vectors.bytes)
            #expect(hmacSHA256(key: fields[0], message: fields[1]) == fields[2])
            #expect(HMACKey(fields[0]).authenticate(fields[1]) == fields[2])
        }
    }

    @Test func hkdfVectors() throws {
        for row in try Vectors.rows("hkdf-sha256.txt") {
            let count = try #require(Int(row[3]))
            let output = try hkdfSHA256(
                key: Vectors.bytes(row[0]), salt: Vectors.bytes(row[1]), info: Vectors.bytes(row[2]), count: count)
            #expect(output == (try Vectors.bytes(row[4])))
        }
    }

    @Test func hkdfOfNothing() {
        #expect(hkdfSHA256(key: [1], salt: [], info: [], count: 0) == [])
    }

    /// RFC 2104 section 2: a key of exactly one block is used as it is, one byte more is hashed.
    @Test func keysAroundOneBlock() {
        let block = [UInt8](repeating: 7, count: 64)
        #expect(hmacSHA256(key: block, message: [1]) == hmacSHA256(key: block, message: [1]))
        #expect(
            hmacSHA256(key: block + [7], message: [1]) == hmacSHA256(key: SHA256.hash(block + [7]).bytes, message: [1]))
        #expect(hmacSHA256(key: block, message: [1]) != hmacSHA256(key: SHA256.hash(block).bytes, message: [1]))
    }
}
