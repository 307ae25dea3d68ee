import DeP2PIdentity
import DeP2PSimulation
import Testing

@testable import DeP2PQUIC

/// Certificates as the libp2p TLS specification wants them, and every way to get one wrong.
@Suite struct PeerCertificateTests {
    static let now: Int64 = 1_790_000_000  // 2026

    private func verdict(_ der: [UInt8], now: Int64 = now) -> String {
        do throws(CertificateError) {
            return try PeerCertificate(der: der, now: now).nodeID.description
        } catch {
            return error.name
        }
    }

    @Test func readsTheSpecificationsVectors() throws {
        let vectors = try vectorLines("libp2p-tls.txt")
        #expect(vectors.count == 4)
        for vector in vectors {
            let der = try #require(Hex.decode(vector[1]))
            #expect(verdict(der) == vector[0])
        }
    }

    @Test func judgesOurVectors() throws {
        let vectors = try vectorLines("certificates.txt")
        #expect(vectors.count >= 36)
        for vector in vectors {
            let result = verdict(try #require(Hex.decode(vector[3])))
            let isValid = result.hasPrefix("12D3KooW") || result.hasPrefix("Qm")
            #expect(vector[1] == (isValid ? "valid" : result), "\(vector[0])")
        }
    }

    @Test func datesAreInclusive() throws {
        let vectors = try vectorLines("certificates.txt")
        let der = try #require(Hex.decode(vectors[0][3]))
        #expect(verdict(der, now: 946_684_799) == "notYetValid")
        #expect(verdict(der, now: 946_684_800).hasPrefix("12D3KooW"))
        #expect(verdict(der, now: 67_090_118_399).hasPrefix("12D3KooW"))
        #expect(verdict(der, now: 67_090_118_401) == "expired")
    }

    @Test func refusesTruncationAtEveryLength() throws {
        for vector in try vectorLines("libp2p-tls.txt").prefix(3) {
            let der = try #require(Hex.decode(vector[1]))
            for length in 0..<der.count { #expect(verdict(Array(der[..<length])) == "malformed") }
            #expect(verdict(der + [0]) == "malformed")
        }
    }

    /// No flipped bit yields another identity: the identity signs the key, and the key signs everything.
    @Test func aFlippedBitNeverGivesAnotherIdentity() throws {
        let vectors = try vectorLines("libp2p-tls.txt")
        let der = try #require(Hex.decode(vectors[0][1]))
        for bit in stride(from: 0, to: der.count * 8, by: 3) {
            var forged = der
            forged[bit / 8] ^= 1 << UInt8(bit % 8)
            let result = verdict(forged)
            #expect(!result.hasPrefix("12D3KooW") && !result.hasPrefix("Qm"), "bit \(bit)")
        }
    }

    @Test func survivesRandomBytes() {
        var random = SplitMix64(seed: 99)
        for _ in 0..<2_000 {
            let bytes = pattern(Int(random.next() % 600), seed: random.next())
            #expect(verdict(bytes) == "malformed")
            #expect(verdict([0x30, 0x82, UInt8(bytes.count >> 8), UInt8(bytes.count & 0xff)] + bytes) == "malformed")
        }
        #expect(verdict(pattern(20_000)) == "malformed")
    }

    @Test func signedKeyReadsWhatItWrites() throws {
        for size in [0, 1, 127, 128, 255, 256, 2_000] {
            let key = SignedKey(publicKey: pattern(size), signature: pattern(size / 2))
            let read = try SignedKey(der: key.der)
            #expect(read == key)
            for length in 0..<min(key.der.count, 300) {
                #expect(throws: CertificateError.self) { try SignedKey(der: Array(key.der[..<length])) }
            }
        }
        // Lengths that are longer than they need be (X.690 10.1), and the indefinite one.
        for bad: [UInt8] in [
            [0x30, 0x81, 0x04, 0x04, 0x00, 0x04, 0x00], [0x30, 0x82, 0x00, 0x04, 0x04, 0x00, 0x04, 0x00],
            [0x30, 0x80, 0x04, 0x00, 0x04, 0x00], [0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
        ] {
            #expect(throws: CertificateError.self) { try SignedKey(der: bad) }
        }
    }

    private func verdict(_ cache: inout CertificateCache, _ der: [UInt8], now: Int64) -> String {
        do throws(CertificateError) {
            return try cache.certificate(der: der, now: now).nodeID.description
        } catch {
            return error.name
        }
    }

    @Test func aKnownCertificateIsJudgedByItsDatesEachTime() throws {
        let vectors = try vectorLines("certificates.txt")
        let der = try #require(Hex.decode(vectors[0][3]))
        var cache = CertificateCache()
        let first = verdict(&cache, der, now: PeerCertificateTests.now)
        #expect(first.hasPrefix("12D3KooW"))
        #expect(verdict(&cache, der, now: PeerCertificateTests.now + 1) == first)
        #expect(cache.count == 1)
        #expect(verdict(&cache, der, now: 67_090_118_401) == "expired")
        #expect(verdict(&cache, der, now: 946_684_799) == "notYetValid")
        var forged = der
        forged[der.count - 1] ^= 1
        #expect(verdict(&cache, forged, now: PeerCertificateTests.now) == "badSelfSignature")
        #expect(cache.count == 1)
    }
}

extension CertificateError {
    /// The case without what it carries.
    fileprivate var name: String {
        switch self {
        case .wrongPeer: "wrongPeer"
        case .chain: "chain"
        case .malformed: "malformed"
        case .notYetValid: "notYetValid"
        case .expired: "expired"
        case .badSelfSignature: "badSelfSignature"
        case .missingExtension: "missingExtension"
        case .unknownCriticalExtension: "unknownCriticalExtension"
        case .unfitKey: "unfitKey"
        case .badIdentitySignature: "badIdentitySignature"
        }
    }
}
