/// Quoting for the three shells, which agree on single quotes except inside them.
enum ShellQuoting {
    /// For bash and zsh: a quote inside ends, escapes and reopens the string.
    static func posix(_ text: String) -> String {
        "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
    }

    /// As ``posix(_:)`` only where it is needed, for lines that people read.
    static func word(_ text: String) -> String {
        let isPlain = { (byte: UInt8) in
            (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || "/._-:".utf8.contains(byte)
                || (0x61...0x7a).contains(byte)
        }
        return !text.isEmpty && text.utf8.allSatisfy(isPlain) ? text : posix(text)
    }

    static func fish(_ text: String) -> String {
        var result = "'"
        for character in text {
            if character == "'" || character == "\\" { result += "\\" }
            result.append(character)
        }
        return result + "'"
    }
}

/// What the completions know of the line before the cursor: options whose value follows, so that it is not taken for
/// the command.
enum CompletionFacts {
    /// `-o` and `--output` for each option of any command that takes a value.
    static var namesThatTakeValues: [String] {
        var names: Set<String> = []
        for option in CommandTable.commonOptions + CommandTable.commands.flatMap(\.options) where option.value != nil {
            names.formUnion(self.names(option))
        }
        return names.sorted()
    }

    static func names(_ option: OptionEntry) -> [String] {
        [option.short.map { "-\($0)" }, "--" + option.long].compactMap(\.self)
    }
}
