/// Quoting for the three shells, which agree on single quotes except inside them.
enum ShellQuoting {
    /// For bash and zsh: a quote inside ends, escapes and reopens the string.
    static func posix(_ text: String) -> String {
        "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
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
