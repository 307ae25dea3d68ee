import DeP2PSimulation
import Testing

@testable import DeP2PIdentity

@Suite struct VarintTests {
    @Test func vectors() throws {
        for row in try Vectors.rows("varint.txt") {
            let bytes = try Vectors.bytes(row[row.count - 1])
            switch row[0] {
            case "value":
                let value = try #require(UInt64(row[1]))
                #expect(Varint.encode(value) == bytes)
                #expect(Varint.decode(bytes) == .value(value, length: bytes.count))
                #expect(Varint.decode(bytes + [0xff]) == .value(value, length: bytes.count))
                for length in bytes.indices { #expect(Varint.decode(bytes[..<length]) == .needMore) }
            case "malformed": #expect(Varint.decode(bytes) == .malformed, "\(row[1])")
            case "more": #expect(Varint.decode(bytes) == .needMore, "\(row[1])")
            default: Issue.record("unknown row \(row)")
            }
        }
    }

    @Test func whatDecodesEncodesTheSame() {
        var generator = SplitMix64(seed: 5)
        for _ in 0..<5000 {
            let bytes = generator.bytes(Int.random(in: 0...12, using: &generator))
            guard case .value(let value, let length) = Varint.decode(bytes) else { continue }
            #expect(Varint.encode(value) == [UInt8](bytes[..<length]))
        }
    }
}
