/// Columns that text takes on a terminal: East Asian characters and emoji take two, combining marks none.
///
/// By hand, since the C library's wcwidth(3) is not among what Swift imports.
enum DisplayWidth {
    /// The blocks whose characters are wide (Unicode Standard Annex 11, EastAsianWidth W and F) beside emoji.
    private static let wide: [ClosedRange<UInt32>] = [
        0x1100...0x115f, 0x2e80...0x303e, 0x3041...0xa4cf, 0xa960...0xa97f, 0xac00...0xd7a3, 0xf900...0xfaff,
        0xfe10...0xfe19, 0xfe30...0xfe6f, 0xff00...0xff60, 0xffe0...0xffe6, 0x16fe0...0x18cff, 0x1aff0...0x1b2ff,
        0x20000...0x3fffd,
    ]

    /// - Parameter text: without control characters (``TerminalText``).
    static func columns(_ text: String) -> Int { text.reduce(0) { $0 + columns(of: $1) } }

    private static func columns(of character: Character) -> Int {
        if character.isASCII { return 1 }
        let isWide = character.unicodeScalars.contains { scalar in
            scalar.properties.isEmojiPresentation || wide.contains { $0.contains(scalar.value) }
        }
        return isWide ? 2 : 1
    }

    /// The longest beginning of `text` that takes at most `limit` columns.
    static func prefix(_ text: String, _ limit: Int) -> String { String(fitting(text, limit)) }

    /// `text`, or its beginning and its end around an ellipsis when it takes more than `limit` columns.
    static func shortened(_ text: String, to limit: Int) -> String {
        guard columns(text) > limit else { return text }
        guard limit > 1 else { return prefix(text, limit) }
        let tail = String(fitting(text.reversed(), (limit - 1) / 2).reversed())
        return prefix(text, limit - 1 - columns(tail)) + "…" + tail
    }

    private static func fitting(_ characters: some Sequence<Character>, _ limit: Int) -> [Character] {
        var left = limit
        var result: [Character] = []
        for character in characters {
            left -= columns(of: character)
            guard left >= 0 else { break }
            result.append(character)
        }
        return result
    }
}
