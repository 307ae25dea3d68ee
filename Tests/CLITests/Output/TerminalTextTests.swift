import DeP2PSimulation
import Testing

@testable import DeP2PCLI

@Suite struct TerminalTextTests {
    @Test(arguments: [
        ("plain name.txt", "plain name.txt"), ("häßlich 文件 🎈", "häßlich 文件 🎈"), ("a\nb\tc\rd", "a\\nb\\tc\\rd"),
        ("\u{1b}[31mred", "\\u{1b}[31mred"), ("\u{7}", "\\u{7}"), ("\u{7f}", "\\u{7f}"), ("\u{9b}31m", "\\u{9b}31m"),
        ("exe.\u{202e}gpj", "exe.\\u{202e}gpj"), ("\u{2066}x\u{2069}", "\\u{2066}x\\u{2069}"),
        ("\u{200b}\u{200d}\u{feff}", "\\u{200b}\\u{200d}\\u{feff}"), ("a\u{2028}b\u{2029}", "a\\u{2028}b\\u{2029}"),
        ("\u{e0041}", "\\u{e0041}"), ("\u{ad}", "\\u{ad}"), ("back\\slash", "back\\\\slash"),
    ])
    func whatActsOnTheTerminalIsEscaped(_ text: String, _ expected: String) {
        #expect(TerminalText.escape(text) == expected)
    }

    @Test func bytesThatAreNotUTF8AreEscapedOneByOne() {
        #expect(TerminalText.escape([0x61, 0xff, 0x62]) == "a\\xffb")
        // A cut sequence, an overlong one, a surrogate, and one beyond the last scalar.
        #expect(TerminalText.escape([0xe2, 0x82]) == "\\xe2\\x82")
        #expect(TerminalText.escape([0xc0, 0xaf]) == "\\xc0\\xaf")
        #expect(TerminalText.escape([0xed, 0xa0, 0x80]) == "\\xed\\xa0\\x80")
        #expect(TerminalText.escape([0xf4, 0x90, 0x80, 0x80]) == "\\xf4\\x90\\x80\\x80")
        #expect(TerminalText.escape([0xe2, 0x82, 0xac]) == "€")
    }

    @Test func randomBytesNeverGiveControlCharactersAndNeverMeet() {
        var generator = SplitMix64(seed: 11)
        var seen: [String: [UInt8]] = [:]
        for _ in 0..<5000 {
            let count = Int.random(in: 0...6, using: &generator)
            let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
            let text = TerminalText.escape(bytes)
            #expect(text.unicodeScalars.allSatisfy { !TerminalText.isUnsafe($0) })
            #expect(seen[text] == nil || seen[text] == bytes)
            seen[text] = bytes
        }
    }

    @Test func linesStayLines() {
        #expect(TerminalText.escapeLines(Array("a\nb\t\u{1b}c\n".utf8)) == "a\nb\t\\u{1b}c\n")
    }
}
