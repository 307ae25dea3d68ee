import CDeP2PQUICShim
import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PQUIC

/// What a handshake's secret is made of (`x25519.c`).
@Suite(.serialized, .timeLimit(.minutes(1)))
@NetworkActor
struct X25519Tests {
    private func product(_ secret: [UInt8], _ point: [UInt8]) -> [UInt8] {
        var result = [UInt8](repeating: 0xff, count: 32)
        dep2p_x25519(&result, secret, point)
        return result
    }

    /// RFC 7748, 5.2; the highest bit of the second point is set.
    @Test(arguments: [
        (
            "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
            "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
            "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"
        ),
        (
            "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
            "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
            "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"
        ),
    ])
    func isTheFunctionOfTheRFC(_ secret: String, _ point: String, _ expected: String) throws {
        #expect(product(try #require(Hex.decode(secret)), try #require(Hex.decode(point))) == Hex.decode(expected))
    }

    /// RFC 7748, 5.2: a thousand times, each time of what came out before.
    @Test func staysTheFunctionOfTheRFC() {
        var (secret, point) = ([9] + [UInt8](repeating: 0, count: 31), [9] + [UInt8](repeating: 0, count: 31))
        for _ in 0..<1_000 { (secret, point) = (product(secret, point), secret) }
        #expect(secret == Hex.decode("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"))
    }

    /// Zeros, which GnuTLS refuses.
    @Test(arguments: [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ])
    func ofAPointOfSmallOrderThereIsNone(_ point: String) throws {
        let secret = [UInt8](1...32)
        #expect(product(secret, try #require(Hex.decode(point))) == [UInt8](repeating: 0, count: 32))
    }

    @Test func handshakesComeHere() async throws {
        try await withPair { pair, _ in
            let before = dep2p_x25519_agreements()
            _ = try await pair.client.connect(to: pair.serverAddress, expecting: nil)
            // Both sides; other suites may have some too.
            #expect(dep2p_x25519_agreements() >= before + 2)
        }
    }
}
