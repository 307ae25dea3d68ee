import DeP2PIdentity
import Testing

@Suite struct ClippedTextTests {
    @Test(arguments: [
        ("", 0, ""), ("abc", 3, "abc"), ("abc", 2, "ab"), ("abc", 0, ""), ("abc", -1, ""), ("aé", 2, "a"),
        ("aé", 3, "aé"), ("🙂🙂", 7, "🙂"), ("🙂", 3, ""),
    ])
    func keepsWholeScalars(text: String, limit: Int, expected: String) {
        #expect(text.clipped(toBytes: limit) == expected)
    }

    /// One Character of 2,001 bytes.
    @Test func combiningMarksAreBytesToo() {
        let text = "e" + String(repeating: "\u{301}", count: 1_000)
        #expect(text.count == 1)
        for limit in 0...50 { #expect((limit - 1...limit).contains(text.clipped(toBytes: limit).utf8.count)) }
    }
}
