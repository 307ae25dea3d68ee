import CDeP2PSodium
import DeP2PSimulation
import Testing

@testable import DeP2PIdentity

@Suite struct PublicKeyTests {
    @Test func specificationKeys() throws {
        for row in try Vectors.rows("peer-ids.txt") {
            let protobuf = try Vectors.bytes(row[1])
            let key = try PublicKey(protobuf: protobuf)
            #expect("\(key.kind)" == row[0])
            #expect(key.protobuf == protobuf)
            #expect(try PublicKey(kind: key.kind, data: key.data) == key)
            #expect(key.nodeID.description == row[2])
            #expect(key.nodeID.cid == row[3])
        }
    }

    @Test func signaturesOfAllKinds() throws {
        var generator = SplitMix64(seed: 11)
        for row in try Vectors.rows("signatures.txt") {
            let key = try PublicKey(protobuf: Vectors.bytes(row[1]))
            let (message, signature) = (try Vectors.bytes(row[2]), try Vectors.bytes(row[3]))
            #expect(key.isValidSignature(signature, for: message), "\(row[0])")
            #expect(!key.isValidSignature(signature, for: message + [0]))
            #expect(!key.isValidSignature([], for: message))
            #expect(!key.isValidSignature(signature + [0], for: message))
            #expect(!key.isValidSignature([UInt8](signature.dropLast()), for: message))
            for _ in 0..<16 {
                var broken = signature
                broken[Int.random(in: broken.indices, using: &generator)] ^=
                    1 << UInt8.random(in: 0..<8, using: &generator)
                #expect(!key.isValidSignature(broken, for: message), "\(row[0])")
            }
        }
    }

    @Test func ed25519Vectors() throws {
        for row in try Vectors.rows("ed25519.txt") {
            let fields = try row.map(Vectors.bytes)
            let key = try IdentityKey(seed: fields[0])
            #expect(key.publicKey.data == fields[1])
            #expect(key.sign(fields[2]) == fields[3])
            #expect(key.publicKey.isValidSignature(fields[3], for: fields[2]))
        }
    }

    @Test func brokenKeys() throws {
        for row in try Vectors.rows("bad-public-keys.txt") {
            let expected: IdentityError.Code = row[0] == "unsupported" ? .unsupportedKeyType : .malformedPublicKey
            let bytes = try Vectors.bytes(row[2])
            #expect(throws: IdentityError(expected, ""), "\(row[1])") { try PublicKey(protobuf: bytes) }
        }
    }

    /// With a key of small order one signature fits every message: S = 0 and R the neutral point.
    @Test func signatureOfSmallOrderKeyIsRefused() throws {
        let neutral: [UInt8] = [1] + [UInt8](repeating: 0, count: 31)
        let key = PublicKey(trusted: .ed25519, data: neutral)
        #expect(!key.isValidSignature(neutral + [UInt8](repeating: 0, count: 32), for: [1, 2, 3]))
    }

    @Test func whoSignedIsFoundWithoutALookAtTheKeyAlone() throws {
        let (message, other) = ([UInt8]([1, 2, 3]), [UInt8]([1, 2]))
        for row in try Vectors.rows("peer-ids.txt") {
            let key = try PublicKey(protobuf: try Vectors.bytes(row[1]))
            let ones = [UInt8](repeating: 1, count: 64)
            #expect(try PublicKey.signer(protobuf: key.protobuf, of: message, signature: ones) == nil)
        }
        let key = IdentityKey.generate()
        let (signature, bytes) = (key.sign(message), key.publicKey.protobuf)
        #expect(try PublicKey.signer(protobuf: bytes, of: message, signature: signature) == key.publicKey)
        #expect(try PublicKey.signer(protobuf: bytes, of: other, signature: signature) == nil)
        #expect(try PublicKey.signer(protobuf: bytes, of: message, signature: []) == nil)
    }

    /// What is no key has signed nothing, be it a signature that fits every message.
    @Test func whatIsNoKeyHasSignedNothing() throws {
        let neutral: [UInt8] = [1] + [UInt8](repeating: 0, count: 31)
        for row in try Vectors.rows("bad-public-keys.txt") {
            let bytes = try Vectors.bytes(row[2])
            for start in [neutral, Array(bytes.suffix(32))] {
                let signature = start + [UInt8](repeating: 0, count: 64 - start.count)
                #expect(throws: IdentityError.self, "\(row[1])") {
                    try PublicKey.signer(protobuf: bytes, of: [1, 2, 3], signature: signature)
                }
            }
        }
    }

    /// A key and a point of small order together: others take it as a key, and so does everything here.
    @Test func aKeyBesideTheGroupIsOne() throws {
        let eight = try #require(Hex.decode("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"))
        let key = IdentityKey.generate()
        var mixed = [UInt8](repeating: 0, count: 32)
        #expect(crypto_core_ed25519_add(&mixed, key.publicKey.data, eight) == 0)
        let beside = try PublicKey(kind: .ed25519, data: mixed)
        let message: [UInt8] = [1, 2, 3]
        #expect(!beside.isValidSignature(key.sign(message), for: message))
        #expect(beside.nodeID.publicKey == beside && beside != key.publicKey)
    }

    /// RFC 8032 section 5.1.7: S must be below the group order, or signatures could be changed into others.
    @Test func malleatedSignatureIsRefused() throws {
        let order: [UInt8] = [
            0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0,
            0, 0,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
        ]
        let key = IdentityKey.generate()
        var signature = key.sign([1])
        var carry = 0
        for index in 0..<32 {
            carry += Int(signature[32 + index]) + Int(order[index])
            signature[32 + index] = UInt8(truncatingIfNeeded: carry)
            carry >>= 8
        }
        #expect(!key.publicKey.isValidSignature(signature, for: [1]))
    }

    @Test func tooLongAKeyIsRefusedUnread() {
        let data = [UInt8](repeating: 0x30, count: PublicKey.maximumDataLength + 1)
        for kind in KeyKind.allCases {
            #expect(throws: IdentityError(.malformedPublicKey, "")) { try PublicKey(kind: kind, data: data) }
        }
    }

    @Test func hostileKeys() throws {
        let samples = try Vectors.rows("peer-ids.txt").map { try Vectors.bytes($0[1]) }
        try forEachHostileVariant(of: samples, rounds: 1500) { bytes in
            guard let key = try? PublicKey(protobuf: bytes) else { return }
            #expect(key.protobuf == bytes)
        }
    }
}
