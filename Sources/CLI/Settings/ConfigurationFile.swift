/// A configuration file: lines `key = value`, where the key is an option's long name; blank lines and lines that start
/// with `#` say nothing. A key whose option repeats may stand on several lines.
struct ConfigurationFile: Sendable, Equatable {
    struct Line: Sendable, Equatable {
        let number: Int
        let key: String
        let value: Argument
    }

    let path: [UInt8]
    let lines: [Line]

    /// The largest file that is read; a configuration of this size is a mistake.
    static let maximumBytes = 256 * 1024

    init(path: [UInt8], content: [UInt8], keys: [String]) throws(CLIError) {
        self.path = path
        var lines: [Line] = []
        for (index, raw) in content.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated()
        {
            let text = Self.trimmed(raw)
            if text.isEmpty || text.first == UInt8(ascii: "#") { continue }
            lines.append(try Self.line(number: index + 1, text: text, path: path, keys: keys))
        }
        self.lines = lines
    }

    private static func line(
        number: Int, text: ArraySlice<UInt8>, path: [UInt8], keys: [String]
    ) throws(CLIError) -> Line {
        let place = "\(TerminalText.escape(path)):\(number)"
        guard let equals = text.firstIndex(of: UInt8(ascii: "=")) else {
            throw CLIError(.configuration, "\(place): no = on the line", hint: "write key = value")
        }
        let key = String(decoding: trimmed(text[..<equals]), as: UTF8.self)
        guard keys.contains(key) else {
            let near = NameSuggestion.nearest(to: key, among: keys)
            throw CLIError(
                .configuration, "\(place): unknown key '\(TerminalText.escape(key))'",
                hint: near.map { "did you mean \($0)?" } ?? "the keys are listed in dep2p(1)")
        }
        let value = Array(trimmed(text[text.index(after: equals)...]))
        guard !value.isEmpty else { throw CLIError(.configuration, "\(place): \(key) has no value") }
        return Line(number: number, key: key, value: Argument(bytes: value))
    }

    private static func trimmed(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0d }
        let head = bytes.drop(while: isBlank)
        guard let last = head.lastIndex(where: { !isBlank($0) }) else { return [] }
        return head[...last]
    }
}
