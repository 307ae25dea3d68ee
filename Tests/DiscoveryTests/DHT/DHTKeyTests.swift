import DeP2PIdentity
import DeP2PSimulation
import Testing

@testable import DeP2PDiscovery

@Suite struct DHTKeyTests {
    /// FIPS 180-4's own example: the key of a record is the hash of its name, that of a node the hash of its NodeID.
    @Test func aKeyIsTheHashOfItsPreimage() throws {
        let abc = DHTKey(hashing: Array("abc".utf8))
        #expect("\(abc)" == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect(DHTKey(bytes: abc.bytes) == abc)
        #expect(DHTKey(bytes: Array(abc.bytes.dropLast())) == nil)
        let nodeID = IdentityKey.generate().nodeID
        #expect(DHTKey(nodeID) == DHTKey(hashing: nodeID.bytes))
    }

    @Test func distancesAreThoseOfTheirBytes() {
        var random = SplitMix64(seed: 1)
        for _ in 0..<200 {
            let (a, b, c) = (
                DHTKey.random(using: &random), DHTKey.random(using: &random), DHTKey.random(using: &random)
            )
            let bytes = zip(a.bytes, b.bytes).map { $0 ^ $1 }
            #expect(a.distance(to: b).bigEndianBytes == bytes)
            #expect(a.distance(to: b) == b.distance(to: a))
            let others = zip(a.bytes, c.bytes).map { $0 ^ $1 }
            #expect((a.distance(to: b) < a.distance(to: c)) == bytes.lexicographicallyPrecedes(others))
            #expect((a < b) == a.bytes.lexicographicallyPrecedes(b.bytes))
        }
        #expect(DHTKey.random(using: &random).distance(to: DHTKey(hashing: [])) != .zero)
    }

    @Test(arguments: [0, 1, 7, 63, 64, 65, 127, 128, 191, 192, 254, 255])
    func aRandomKeySharesWhatWasAskedFor(length: Int) {
        var random = SplitMix64(seed: UInt64(length))
        let key = DHTKey.random(using: &random)
        for _ in 0..<20 {
            let other = key.random(sharing: length, using: &random)
            #expect(key.commonPrefixLength(with: other) == length)
            #expect(key.prefix(length) == other.prefix(length))
        }
        #expect(key.commonPrefixLength(with: key) == 256)
    }

    @Test func fractionsOfTheSpace() {
        #expect(XORDistance(fraction: 0) == .zero)
        #expect(XORDistance(fraction: 2) == .greatest)
        #expect(XORDistance(fraction: .nan) == .zero)
        #expect(XORDistance(fraction: 0.5) == .bit(0))
        #expect(XORDistance(fraction: 0x1p-70) == .bit(69))
        for exponent in 1...40 {
            let fraction = 1.3 / Double(1 << exponent)
            #expect(abs(XORDistance(fraction: fraction).fraction / fraction - 1) < 1e-12)
        }
    }
}
