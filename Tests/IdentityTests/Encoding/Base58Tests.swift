import Testing

@testable import DeP2PIdentity

@Suite struct Base58Tests {
    @Test func vectors() throws {
        for row in try Vectors.rows("base58.txt") {
            let bytes = try Vectors.bytes(row[0])
            let text = row[1] == "-" ? "" : row[1]
            #expect(Base58.encode(bytes) == text)
            #expect(Base58.decode(text) == bytes)
        }
    }

    @Test(arguments: ["0", "O", "I", "l", "1 ", "é", "+", "\u{0}"])
    func refusals(text: String) {
        #expect(Base58.decode(text) == nil)
    }

    @Test func lengthIsBounded() {
        #expect(Base58.decode(String(repeating: "1", count: Base58.maximumTextLength))?.count == 512)
        #expect(Base58.decode(String(repeating: "1", count: Base58.maximumTextLength + 1)) == nil)
        #expect(Base58.decode(String(repeating: "z", count: Base58.maximumTextLength)) != nil)
    }

    @Test func base32KnowsOneTextForAValue() {
        // RFC 4648 section 10, without padding and in lower case.
        let known = ["", "my", "mzxq", "mzxw6", "mzxw6yq", "mzxw6ytb", "mzxw6ytboi"]
        for (length, text) in known.enumerated() {
            let bytes = [UInt8]("foobar".utf8.prefix(length))
            #expect(Base32.encode(bytes) == text)
            #expect(Base32.decode([UInt8](text.utf8)[...]) == bytes)
        }
        for text in ["mz", "m", "mzxw6y", "my======", "m1", "mZ"] {
            #expect(Base32.decode([UInt8](text.utf8)[...]) == nil, "\(text)")
        }
    }
}
