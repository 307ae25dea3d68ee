import DeP2PIdentity
import DeP2PSimulation
import Testing

@testable import DeP2PDiscovery

@Suite struct BencodeTests {
    private func read(_ text: String) -> Bencode? { Bencode(decoding: Array(text.utf8)) }

    /// BEP 3's examples.
    @Test func vectors() {
        #expect(read("4:spam") == .text("spam"))
        #expect(read("0:") == .text(""))
        #expect(read("i3e") == .integer(3))
        #expect(read("i-3e") == .integer(-3))
        #expect(read("i0e") == .integer(0))
        #expect(read("l4:spam4:eggse") == .list([.text("spam"), .text("eggs")]))
        #expect(read("d3:cow3:moo4:spam4:eggse") == ["cow": .text("moo"), "spam": .text("eggs")])
        #expect(read("d4:spaml1:a1:bee") == ["spam": .list([.text("a"), .text("b")])])
        #expect(read("le") == .list([]) && read("de") == [:])
    }

    @Test(arguments: [
        "", "i", "ie", "i-e", "i-0e", "i03e", "i+3e", "i3", "i 3e", "i9223372036854775808e", "i-9223372036854775809e",
        "1", "1:", "2:a", "01:a", "-1:a", "00:", "99999999999999999999:a", "9223372036854775807:a", "l", "li3e", "d",
        "di3ei3ee", "d1:a", "d1:ai3e", "d1:bi1e1:ai1ee", "d1:ai1e1:ai2ee", "i3ei4e", "4:spamx", "e", "x", "l4:spam",
    ]) func whatIsNotCanonicalIsNotRead(text: String) { #expect(read(text) == nil) }

    @Test func numbersHaveTheirBounds() {
        #expect(read("i9223372036854775807e") == .integer(.max))
        #expect(read("i-9223372036854775808e") == .integer(.min))
    }

    @Test func depthIsBounded() {
        let deep = { (depth: Int) in String(repeating: "l", count: depth) + String(repeating: "e", count: depth) }
        #expect(read(deep(Bencode.depthLimit)) != nil)
        #expect(read(deep(Bencode.depthLimit + 1)) == nil)
        #expect(read(deep(100_000)) == nil)
    }

    /// What was read is written as it was, whatever it is; so the bytes of a signed value are had again.
    @Test func whatIsReadIsWrittenAlike() {
        var random = SplitMix64(seed: 1)
        var read = 0
        for _ in 0..<2_000 {
            let value = Self.random(&random, depth: 0)
            #expect(Bencode(decoding: value.encoded) == value)
            var bytes = value.encoded
            bytes[Int(random.next() % UInt64(bytes.count))] = Array("0123456789ilde:-".utf8)[Int(random.next() % 16)]
            if let other = Bencode(decoding: bytes) {
                read += 1
                #expect(other.encoded == bytes)
            }
        }
        #expect(read > 50)
    }

    private static func random(_ random: inout SplitMix64, depth: Int) -> Bencode {
        switch random.next() % (depth < 4 ? 4 : 2) {
        case 0: return .integer(Int64(truncatingIfNeeded: random.next()) >> Int64(random.next() % 64))
        case 1: return .bytes((0..<random.next() % 12).map { _ in UInt8(truncatingIfNeeded: random.next()) })
        case 2: return .list((0..<random.next() % 4).map { _ in self.random(&random, depth: depth + 1) })
        default:
            let entries = (0..<random.next() % 4).map { _ in
                ([UInt8(truncatingIfNeeded: random.next())], self.random(&random, depth: depth + 1))
            }
            return .dictionary(Dictionary(entries, uniquingKeysWith: { first, _ in first }))
        }
    }
}
