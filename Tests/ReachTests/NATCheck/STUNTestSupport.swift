import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PSessions

/// Vectors are hexadecimal text with white space between the fields.
func stunVector(_ name: String) throws -> [UInt8] {
    let path = "\(#filePath)".split(separator: "/").dropLast(2).joined(separator: "/")
    let text = try #require(readText("/\(path)/Vectors/STUN/\(name).hex"))
    let digits = text.filter(\.isHexDigit).compactMap(\.hexDigitValue).map(UInt8.init)
    return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
}

/// `sample` shortened, lengthened, with bits flipped and bytes replaced; and plain noise.
func mutations(of sample: [UInt8], rounds: Int, seed: UInt64) -> [[UInt8]] {
    var random = SplitMix64(seed: seed)
    var results = (0..<sample.count).map { Array(sample.prefix($0)) }
    for _ in 0..<rounds {
        var mutated = sample
        for _ in 0..<Int.random(in: 1...4, using: &random) where !mutated.isEmpty {
            mutated[Int.random(in: 0..<mutated.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
        }
        if Bool.random(using: &random) { mutated += random.bytes(Int.random(in: 0...64, using: &random)) }
        results.append(mutated)
        results.append(random.bytes(Int.random(in: 0...128, using: &random)))
    }
    return results
}

extension NetworkInstant {
    static func milliseconds(_ value: UInt64) -> Self { Self(nanoseconds: 1_000_000_000_000 + value * 1_000_000) }
}
