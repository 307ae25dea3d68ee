import DeP2PSimulation
import Foundation
import Testing

@testable import DeP2PIdentity

/// Reads the vector files: `#` begins a comment, fields are separated by spaces, `-` is an empty field.
enum Vectors {
    static func rows(_ name: String) throws -> [[String]] {
        let rows = try lines(name).map { $0.split(separator: " ").map(String.init) }
        try #require(!rows.isEmpty, "\(name) has no vectors")
        return rows
    }

    static func lines(_ name: String) throws -> [String] {
        try String(decoding: contents(name), as: UTF8.self).split(separator: "\n").map(String.init)
            .filter { !$0.hasPrefix("#") }
    }

    static func contents(_ name: String) throws -> [UInt8] {
        let url = Bundle.module.bundleURL.appendingPathComponent("Vectors/\(name)")
        return [UInt8](try Data(contentsOf: url))
    }

    /// The bytes of a hexadecimal field.
    static func bytes(_ field: String) throws -> [UInt8] {
        field == "-" ? [] : try #require(Hex.decode(field))
    }
}

/// Hostile variants of good input for decoders: cut at every length, single bytes changed, bytes put in and taken out,
/// and noise with no relation to it. Ends after a fixed number of rounds.
func forEachHostileVariant(
    of samples: [[UInt8]], rounds: Int = 2000, seed: UInt64 = 1, _ body: ([UInt8]) throws -> Void
) throws {
    var generator = SplitMix64(seed: seed)
    for sample in samples {
        for length in 0..<sample.count { try body([UInt8](sample[..<length])) }
        try body(sample + sample)
        try body(sample + [UInt8](repeating: 0xff, count: 20_000))
    }
    for _ in 0..<rounds {
        var variant = samples.randomElement(using: &generator) ?? []
        for _ in 0..<Int.random(in: 1...4, using: &generator) where !variant.isEmpty {
            let index = Int.random(in: variant.indices, using: &generator)
            switch Int.random(in: 0..<4, using: &generator) {
            case 0: variant[index] = UInt8.random(in: 0...255, using: &generator)
            case 1: variant[index] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
            case 2: variant.remove(at: index)
            default: variant.insert(UInt8.random(in: 0...255, using: &generator), at: index)
            }
        }
        try body(variant)
        try body(generator.bytes(Int.random(in: 0...80, using: &generator)))
    }
}
