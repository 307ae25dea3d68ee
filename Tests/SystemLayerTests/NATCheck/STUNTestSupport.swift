import DeP2PReactor
import Identity
import Testing

@testable import SystemLayer

/// Vectors are hexadecimal text with white space between the fields.
func stunVector(_ name: String) throws -> [UInt8] {
    let path = "\(#filePath)".split(separator: "/").dropLast(2).joined(separator: "/")
    let text = try #require(readText("/\(path)/Vectors/STUN/\(name).hex"))
    let digits = text.filter(\.isHexDigit).compactMap(\.hexDigitValue).map(UInt8.init)
    return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
}

func v4(_ a: UInt8, _ b: UInt8, _ c: UInt8, _ d: UInt8, _ port: UInt16) -> SocketAddress {
    SocketAddress(IPAddress(v4: UInt32(a) << 24 | UInt32(b) << 16 | UInt32(c) << 8 | UInt32(d)), port: port)
}

func v6(_ high: UInt64, _ low: UInt64, _ port: UInt16) -> SocketAddress {
    SocketAddress(IPAddress(v6High: high, low: low), port: port)
}

/// SplitMix64: the same bytes in every run.
struct SeededBytes: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
        return mixed ^ mixed >> 31
    }

    mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) } }
}

/// `sample` shortened, lengthened, with bits flipped and bytes replaced; and plain noise.
func mutations(of sample: [UInt8], rounds: Int, seed: UInt64) -> [[UInt8]] {
    var random = SeededBytes(seed: seed)
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
