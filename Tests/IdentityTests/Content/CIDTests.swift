import Testing

@testable import DeP2PIdentity

@Suite struct CIDTests {
    private let digest = SHA256.hash(Array("hello".utf8)).bytes

    private var multihash: [UInt8] { [0x12, 32] + digest }

    /// The same content in the forms that libp2p networks write; the first two are those of the CID specification's own
    /// documentation for one block.
    @Test func oneMultihashHasManyForms() throws {
        let old = try #require(CID("QmbWqxBEKC3P8tqsKc98xmWNzrzDtRLMiMPL8wBuTGsMnR"))
        let new = try #require(CID("bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"))
        #expect(old == new && old.codec == 0x70 && old.description == new.description)
        let raw = try #require(CID(codec: 0x55, multihash: multihash))
        #expect(CID(raw.description) == raw && CID(raw.description.uppercased()) == raw)
        let bytes: [UInt8] = [1, 0x55] + multihash
        #expect(CID("f" + Hex.encode(bytes)) == raw && CID("z" + Base58.encode(bytes)) == raw)
    }

    /// BEP 52 roots, as in the design: their code takes three bytes.
    @Test func longCodesAreRead() throws {
        let root = try #require(CID(codec: 0x55, multihash: Varint.encode(0xb702) + [32] + digest))
        #expect(CID(root.description) == root)
    }

    @Test func whatIsNoneIsRefused() throws {
        let good = try #require(CID(codec: 0x55, multihash: multihash)).description
        for text in [
            "", "b", "Qm", "Qm" + String(repeating: "1", count: 44), String(good.dropLast()), good + "a", "x" + good,
            "12D3KooWPjceQrSwdWXPyLLeABRXmuqt69Rg3sBYbU1Nft9HyQ6X", "é", String(repeating: "b", count: 100_000),
        ] { #expect(CID(text) == nil, "\(text.prefix(60))") }
        for bytes in [
            [], [1], [2, 0x55] + multihash, [1, 0x55, 0x12, 33] + digest, [1, 0x55, 0x12, 31] + digest,
            [1, 0x55, 0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f] + digest,
            [1, 0x55, 0x80, 0x00, 32] + digest, [1, 0x55, 0x12, 65] + digest + digest + [0],
            [UInt8](repeating: 0xff, count: 40),
        ] as [[UInt8]] { #expect(CID("f" + Hex.encode(bytes)) == nil, "\(bytes)") }
        #expect(CID(codec: .max, multihash: multihash) == nil)
    }
}
