import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import Testing

@testable import DeP2PDiscovery

@Suite struct MainlineIDTests {
    @Test func idsFollowFromAddresses() throws {
        let lines = try vectorLines("bep42.txt")
        #expect(lines.count == 5)
        for fields in lines {
            let ip = try #require(IPAddress(fields[0]))
            let bytes = try #require(Hex.decode(Array(fields[1].utf8)))
            #expect(try #require(MainlineID(bytes: bytes)).isAllowed(at: ip))
            // The 21st bit counts, the 22nd does not; nor does what is between them and the choice.
            for (place, bit, isAllowed) in [(0, 0x80, false), (2, 0x08, false), (2, 0x04, true), (10, 0xff, true)] {
                var other = bytes
                other[place] ^= UInt8(bit)
                #expect(try #require(MainlineID(bytes: other)).isAllowed(at: ip) == isAllowed)
            }
            var chosen = bytes
            chosen[19] ^= 1
            #expect(try !#require(MainlineID(bytes: chosen)).isAllowed(at: ip))
        }
    }

    @Test func anIDCanBeMadeForEachAddress() throws {
        var random = SplitMix64(seed: 2)
        for text in ["45.9.8.7", "2a01:4f8::7", "2a01:4f8:1:2:3:4:5:6"] {
            let ip = try #require(IPAddress(text))
            let ids = (0..<100).map { _ in MainlineID.random(at: ip, using: &random) }
            #expect(ids.allSatisfy { $0.isAllowed(at: ip) })
            #expect(Set(ids.map { Array($0.bytes.prefix(2)) }).count == 8)
            #expect((0..<100).allSatisfy { _ in !MainlineID.random(using: &random).isAllowed(at: ip) })
            // Inside of networks any id will do.
            #expect(MainlineID.random(using: &random).isAllowed(at: .v4Loopback))
        }
    }

    /// RFC 3720 appendix B.4, and the usual check value.
    @Test func checksums() {
        #expect(MainlineID.crc32c(Array("123456789".utf8)) == 0xe306_9283)
        #expect(MainlineID.crc32c([UInt8](repeating: 0, count: 32)) == 0x8a91_36aa)
    }

    /// FIPS 180-4's example, and the targets of BEP 44's items.
    @Test func itemsLieAtTheirSHA1() throws {
        #expect(Hex.encode(SHA1.hash(Array("abc".utf8))) == "a9993e364706816aba3e25717850c26c9cd0d89d")
        #expect(Hex.encode(SHA1.hash([])) == "da39a3ee5e6b4b0d3255bfef95601890afd80709")
        for fields in try vectorLines("bep44-mutable.txt") {
            let key = try #require(Hex.decode(Array(fields[0].utf8)))
            let salt = fields[1] == "-" ? [] : Array(fields[1].utf8)
            #expect(Hex.encode(MainlineID(ofItem: key + salt).bytes) == fields[5])
        }
    }

    @Test func bytesAndDistances() throws {
        var random = SplitMix64(seed: 3)
        for _ in 0..<100 {
            let (one, other) = (MainlineID.random(using: &random), MainlineID.random(using: &random))
            #expect(MainlineID(bytes: one.bytes) == one)
            #expect((one < other) == one.bytes.lexicographicallyPrecedes(other.bytes))
            #expect(one.distance(to: other).bytes == zip(one.bytes, other.bytes).map { $0 ^ $1 })
        }
        #expect(MainlineID(bytes: [UInt8](repeating: 0, count: 19)) == nil)
        #expect(MainlineID(bytes: [UInt8](repeating: 0, count: 21)) == nil)
    }

    @Test func contactsAreCompact() throws {
        var random = SplitMix64(seed: 4)
        for (text, length) in [("45.9.8.7", 26), ("2a01:4f8::7", 38)] {
            let ip = try #require(IPAddress(text))
            let contact = MainlineContact(.random(using: &random), at: SocketAddress(ip, port: 0x1ae1))
            #expect(contact.compact.count == length && contact.compact.suffix(2) == [0x1a, 0xe1])
            #expect(MainlineContact(compact: contact.compact[...]) == contact)
            for count in 0..<length where count != 26 {
                #expect(MainlineContact(compact: contact.compact.prefix(count)) == nil)
            }
        }
    }
}
