/// `--help`: examples first, at most 79 columns, ending with where to report problems.
enum HelpText {
    static let width = 79
    /// Where the second column starts.
    private static let column = 28

    /// Help on a command, or on the program.
    static func render(_ command: CommandEntry?) -> String {
        var lines: [String]
        if let command {
            lines = ["\(Release.program) \(command.name): \(command.summary)", ""] + examples(command.examples)
            lines += ["Usage:"] + synopses(command).map { "  " + $0 } + [""]
            lines += options(command.allOptions)
        } else {
            lines = ["\(Release.program): \(CommandTable.summary)", ""] + examples(CommandTable.examples)
            lines += ["Usage:", "  \(Release.program) COMMAND [OPTION]...", "", "Commands:"]
            lines += CommandTable.commands.flatMap { twoColumns("  " + $0.name, $0.summary) } + [""]
            lines += options(CommandTable.commonOptions)
        }
        let page = [Release.program, command?.name].compactMap(\.self).joined(separator: "-")
        lines += ["\(page)(1) tells more: exit statuses, JSON output, files."]
        lines += ["Report problems to \(Release.reportProblems)."]
        return lines.joined(separator: "\n") + "\n"
    }

    /// The forms of a command's use, for the error of a wrong line.
    static func usage(_ command: CommandEntry?) -> [String] {
        let lines = command.map(synopses) ?? ["\(Release.program) COMMAND [OPTION]..."]
        return lines.map { "usage: " + $0 }
    }

    static func synopses(_ command: CommandEntry) -> [String] {
        command.synopses.map { "\(Release.program) \(command.name) \($0)" }
    }

    private static func examples(_ examples: [CommandEntry.Example]) -> [String] {
        ["Examples:"] + examples.flatMap { ["  # " + $0.says, "  " + $0.line] } + [""]
    }

    private static func options(_ options: [OptionEntry]) -> [String] {
        OptionEntry.Heading.allCases.flatMap { heading in
            let members = options.filter { $0.heading == heading }
            guard !members.isEmpty else { return [String]() }
            return ["\(heading.rawValue):"] + members.flatMap { twoColumns(indented($0), $0.summary) } + [""]
        }
    }

    /// Long names stand under each other whether there is a short one or not.
    private static func indented(_ option: OptionEntry) -> String {
        (option.short == nil ? "      " : "  ") + option.usage
    }

    private static func twoColumns(_ left: String, _ right: String) -> [String] {
        let lines = Markup.wrap(Markup.plain(right), width: width - column)
        let margin = String(repeating: " ", count: column)
        guard left.count + 2 <= column, let first = lines.first else { return [left] + lines.map { margin + $0 } }
        let padding = String(repeating: " ", count: column - left.count)
        return [left + padding + first] + lines.dropFirst().map { margin + $0 }
    }
}
