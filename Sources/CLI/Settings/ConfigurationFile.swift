/// A configuration file: lines `key = value`, where the key is an option's long name, or `name.` and a name for a node;
/// blank lines and lines that start with `#` say nothing. A key whose option repeats may stand on several lines.
struct ConfigurationFile: Sendable, Equatable {
    struct Line: Sendable, Equatable {
        let number: Int
        let key: String
        let value: Argument
    }

    /// What keys there are.
    struct Keys: Sendable {
        let all: [String]
        /// Those that may stand on several lines.
        let repeating: Set<String>

        init(_ options: [OptionEntry]) {
            all = options.map(\.long)
            repeating = Set(options.filter(\.repeats).map(\.long))
        }
    }

    let path: [UInt8]
    let lines: [Line]

    /// The largest file that is read; a configuration of this size is a mistake.
    static let maximumBytes = 256 * 1024
    /// What the keys of names begin with.
    static let namePrefix = "name."

    private static let byteOrderMark: [UInt8] = [0xef, 0xbb, 0xbf]

    init(path: [UInt8], content: [UInt8], keys: Keys) throws(CLIError) {
        self.path = path
        guard !content.starts(with: [0xff, 0xfe]), !content.starts(with: [0xfe, 0xff]) else {
            throw CLIError(.configuration, "\(TerminalText.escape(path)): the text is UTF-16", hint: "save it as UTF-8")
        }
        var lines: [Line] = []
        var places: [String: Int] = [:]
        let text = content.starts(with: Self.byteOrderMark) ? content.dropFirst(Self.byteOrderMark.count) : content[...]
        for (index, raw) in text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated() {
            let text = Self.trimmed(raw)
            if text.isEmpty || text.first == UInt8(ascii: "#") { continue }
            let line = try Self.line(number: index + 1, text: text, path: path, keys: keys)
            if let earlier = places.updateValue(line.number, forKey: line.key), !keys.repeating.contains(line.key) {
                throw CLIError(
                    .configuration,
                    "\(TerminalText.escape(path)):\(line.number): \(line.key) stands on line \(earlier) already")
            }
            lines.append(line)
        }
        self.lines = lines
    }

    private static func line(
        number: Int, text: ArraySlice<UInt8>, path: [UInt8], keys: Keys
    ) throws(CLIError) -> Line {
        let place = "\(TerminalText.escape(path)):\(number)"
        if let control = text.first(where: { ($0 < 0x20 && $0 != 0x09) || $0 == 0x7f }) {
            let what = TerminalText.escape(CollectionOfOne(control))
            throw CLIError(.configuration, "\(place): a control character: \(what)")
        }
        guard let equals = text.firstIndex(of: UInt8(ascii: "=")) else {
            throw CLIError(.configuration, "\(place): no = on the line", hint: "write key = value")
        }
        let key = String(decoding: trimmed(text[..<equals]), as: UTF8.self)
        guard keys.all.contains(key) || key.hasPrefix(namePrefix) else {
            throw CLIError(
                .configuration, "\(place): unknown key '\(TerminalText.escape(key))'", hint: hint(key, keys.all))
        }
        let value = Array(trimmed(text[text.index(after: equals)...]))
        guard !value.isEmpty else { throw CLIError(.configuration, "\(place): \(key) has no value") }
        return Line(number: number, key: key, value: Argument(bytes: value))
    }

    private static func hint(_ key: String, _ keys: [String]) -> String {
        let word = key.prefix { $0 != "." }
        if word.count < key.count, NameSuggestion.nearest(to: String(word), among: ["name"]) != nil {
            return "did you mean name\(TerminalText.escape(String(key.dropFirst(word.count))))?"
        }
        return NameSuggestion.nearest(to: key, among: keys).map { "did you mean \($0)?" }
            ?? "the keys are listed in dep2p(1)"
    }

    private static func trimmed(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0d }
        let head = bytes.drop(while: isBlank)
        guard let last = head.lastIndex(where: { !isBlank($0) }) else { return [] }
        return head[...last]
    }
}
