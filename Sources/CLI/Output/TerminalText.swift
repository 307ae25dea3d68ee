/// Text that somebody else chose, made safe for a terminal and for a log.
enum TerminalText {
    /// `bytes` with everything escaped that could move the cursor, reorder, hide or break a line: control characters
    /// (C0, DEL, C1), format characters (bidi controls, zero-width ones), line separators, and bytes that are not
    /// UTF-8. A backslash is doubled, so that no two inputs give the same output.
    static func escape(_ bytes: some Sequence<UInt8>) -> String {
        var result: [UInt8] = []
        var decoder = UTF8Scanner(Array(bytes))
        while true {
            result += decoder.takePlain()
            guard let piece = decoder.next() else { return String(decoding: result, as: UTF8.self) }
            switch piece {
            case .invalid(let byte): result += ("\\x" + hex(UInt32(byte), digits: 2)).utf8
            case .scalar("\\"): result += "\\\\".utf8
            case .scalar("\n"): result += "\\n".utf8
            case .scalar("\t"): result += "\\t".utf8
            case .scalar("\r"): result += "\\r".utf8
            case .scalar(let scalar) where isUnsafe(scalar):
                result += ("\\u{" + hex(scalar.value, digits: 1) + "}").utf8
            case .scalar(let scalar): result += scalar.utf8
            }
        }
    }

    static func escape(_ text: String) -> String { escape(text.utf8) }

    /// As ``escape(_:)``, but line feeds and tabs stay: for a message's text, which may have several lines.
    static func escapeLines(_ bytes: [UInt8]) -> String {
        bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            .map { line in
                line.split(separator: UInt8(ascii: "\t"), omittingEmptySubsequences: false).map { escape($0) }
                    .joined(separator: "\t")
            }
            .joined(separator: "\n")
    }

    /// Whether the scalar acts on the text around it rather than showing something.
    static func isUnsafe(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate: true
        default: scalar.properties.isDefaultIgnorableCodePoint
        }
    }

    static func hex(_ value: UInt32, digits: Int) -> String {
        let text = String(value, radix: 16)
        return String(repeating: "0", count: max(0, digits - text.utf8.count)) + text
    }
}
