import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import Testing

@testable import DeP2PDiscovery

@Suite struct MutableItemTests {
    /// BEP 44's own examples.
    @Test func vectors() throws {
        let lines = try vectorLines("bep44-mutable.txt")
        #expect(lines.count == 2)
        for fields in lines {
            let salt = fields[1] == "-" ? [] : Array(fields[1].utf8)
            let value = Array(fields[3].utf8).map { $0 == UInt8(ascii: "_") ? UInt8(ascii: " ") : $0 }
            let key = try #require(Hex.decode(Array(fields[0].utf8)))
            let signature = try #require(Hex.decode(Array(fields[4].utf8)))
            let seq = try #require(Int64(fields[2]))
            let item = try MutableItem(publicKey: key, salt: salt, seq: seq, value: value, signature: signature)
            #expect(item.isSigned)
            let newer = try MutableItem(publicKey: key, salt: salt, seq: seq + 1, value: value, signature: signature)
            let other = try MutableItem(publicKey: key, salt: salt + [1], seq: seq, value: value, signature: signature)
            #expect(!newer.isSigned && !other.isSigned)
        }
    }

    @Test func whatIsSignedHereIsGood() throws {
        let key = IdentityKey.generate()
        let item = try MutableItem(by: key, salt: [7], seq: 3, value: Array("2:hi".utf8))
        #expect(item.isSigned && item.key == DHTKey(hashing: key.publicKey.data + [7]))
        // Of small order: libsodium takes no such key, whatever it is to have signed.
        let forged = try MutableItem(
            publicKey: [UInt8](repeating: 0, count: 32), salt: [], seq: 3, value: item.value, signature: item.signature)
        #expect(!forged.isSigned)
    }

    @Test func lengthsAreBounded() throws {
        let key = IdentityKey.generate()
        let longest = [UInt8](repeating: 1, count: MutableItem.valueLimit)
        let salt = [UInt8](repeating: 2, count: MutableItem.saltLimit)
        #expect(try MutableItem(by: key, salt: salt, seq: .max, value: longest).isSigned)
        #expect(throws: RecordRefusal.valueTooLong) { try MutableItem(by: key, salt: [], seq: 0, value: longest + [1]) }
        #expect(throws: RecordRefusal.malformed) { try MutableItem(by: key, salt: salt + [1], seq: 0, value: [1]) }
        #expect(throws: RecordRefusal.malformed) { try MutableItem(by: key, salt: [], seq: -1, value: [1]) }
        #expect(throws: RecordRefusal.malformed) { try MutableItem(by: key, salt: [], seq: 0, value: []) }
        #expect(throws: RecordRefusal.malformed) {
            try MutableItem(publicKey: [1], salt: [], seq: 0, value: [1], signature: [UInt8](repeating: 0, count: 64))
        }
    }

    @Test func theNumberMustGrow() throws {
        let key = IdentityKey.generate()
        let old = try MutableItem(by: key, salt: [], seq: 5, value: [1])
        #expect(old.replaces(old))
        let newer = try MutableItem(by: key, salt: [], seq: 6, value: [2])
        #expect(newer.replaces(old))
        #expect(try !MutableItem(by: key, salt: [], seq: 5, value: [2]).replaces(old))
        #expect(try !MutableItem(by: key, salt: [], seq: 4, value: [1]).replaces(old))
    }
}

@Suite struct StoreTokensTests {
    @Test func areGoodForOneAskerOneKeyOneNodeAndAWhile() throws {
        var random = SplitMix64(seed: 9)
        let (asker, other) = (try random.nodeID(), try random.nodeID())
        let (key, otherKey) = (DHTKey.random(using: &random), DHTKey.random(using: &random))
        let tokens = StoreTokens(secret: AuthenticationKey(random.bytes(32)))
        let token = tokens.token(for: asker, key: key, now: at(1_000))
        #expect(token.count == StoreTokens.length)
        #expect(tokens.accepts(token, from: asker, key: key, now: at(1_000)))
        #expect(tokens.accepts(token, from: asker, key: key, now: at(1_300)))
        #expect(!tokens.accepts(token, from: asker, key: key, now: at(1_600)))
        #expect(!tokens.accepts(token, from: other, key: key, now: at(1_000)))
        #expect(!tokens.accepts(token, from: asker, key: otherKey, now: at(1_000)))
        #expect(!tokens.accepts([], from: asker, key: key, now: at(1_000)))
        // Replayed to another node it says nothing.
        let elsewhere = StoreTokens(secret: AuthenticationKey(random.bytes(32)))
        #expect(!elsewhere.accepts(token, from: asker, key: key, now: at(1_000)))
        #expect(!tokens.accepts(token, from: asker, key: key, now: at(0)))
    }
}
