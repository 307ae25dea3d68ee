/// Writes a manual page from top to bottom.
struct Roff {
    private(set) var text: String
    private static let width = 78

    init(title: String, summary: String) {
        text = ".\\\" Rendered from the command table; edit that.\n"
        text += ".TH \(title.uppercased()) 1 \(Release.date) \"\(Release.program) \(Release.version)\" "
        text += "\"\(Release.program) manual\"\n"
        section("NAME")
        line(Markup.roff(title).replacingHyphens + " \\- " + Markup.roff(summary))
    }

    mutating func section(_ name: String) { line(".SH \"\(name)\"") }
    mutating func subsection(_ name: String) { line(".SS \"\(name)\"") }

    mutating func paragraphs(_ paragraphs: [String]) {
        for (index, paragraph) in paragraphs.enumerated() {
            if index > 0 || !text.hasSuffix("\"\n") { line(".PP") }
            prose(paragraph)
        }
    }

    /// A term and what it means, indented.
    mutating func term(_ term: String, _ paragraphs: [String]) {
        line(".TP")
        line(term)
        for (index, paragraph) in paragraphs.enumerated() {
            if index > 0 { line(".IP") }
            prose(paragraph)
        }
    }

    mutating func synopsis(_ name: String, _ rest: String) {
        if !text.hasSuffix("\"SYNOPSIS\"\n") { line(".br") }
        line((Markup.roffLiteral(name) + " " + Markup.roff(rest)).replacingHyphens)
    }

    mutating func options(_ options: [OptionEntry]) {
        for option in options {
            let names = ([option.short.map { "-\($0)" }, "--" + option.long]).compactMap(\.self)
            let value = option.value.map { " \\fI\($0.placeholder)\\fR" } ?? ""
            term(names.map(Markup.roffLiteral).joined(separator: ", ") + value, option.paragraphs)
        }
    }

    mutating func statuses(_ statuses: [ExitStatus]) {
        section("EXIT STATUS")
        for status in statuses { term("\\fB\(status.rawValue)\\fR", [status.meaning]) }
    }

    mutating func environment(_ settings: [OptionEntry]) {
        section("ENVIRONMENT")
        let own = settings.compactMap { option in
            option.variable.map { variable in
                let several = option.repeats ? " Several are separated by commas." : ""
                return CommandEntry.Term(variable, "The same as `--\(option.long)`.\(several)")
            }
        }
        for term in (own + ManText.environment).sorted(by: { $0.name < $1.name }) {
            self.term(Markup.roffLiteral(term.name), [term.meaning])
        }
    }

    mutating func files(_ files: [CommandEntry.Term]) {
        section("FILES")
        for file in files { term("\\fI" + Markup.roff(file.name).replacingHyphens + "\\fR", [file.meaning]) }
    }

    mutating func examples(_ examples: [CommandEntry.Example]) {
        section("EXAMPLES")
        for (index, example) in examples.enumerated() {
            if index > 0 { line(".PP") }
            prose(example.says.prefix(1).uppercased() + example.says.dropFirst() + ":")
            listing([example.line])
        }
    }

    /// Lines that stand as they are.
    mutating func listing(_ lines: [String]) {
        line(".PP")
        line(".RS 4")
        line(".nf")
        for text in lines { line(Self.guarded(Markup.roffLiteral(text))) }
        line(".fi")
        line(".RE")
    }

    mutating func seeAlso(_ pages: [String]) {
        section("SEE ALSO")
        line(pages.map { Markup.roffLiteral($0) + "(1)" }.joined(separator: ",\n"))
    }

    private mutating func prose(_ paragraph: String) {
        for piece in Markup.wrap(Markup.roff(paragraph), width: Self.width) { line(Self.guarded(piece)) }
    }

    /// A line of text that begins like a request is none.
    private static func guarded(_ line: String) -> String {
        line.hasPrefix(".") || line.hasPrefix("'") ? "\\&" + line : line
    }

    private mutating func line(_ line: String) { text += line + "\n" }
}

extension String {
    /// Hyphens that are typed, as minus signs that survive copying; those already escaped stay.
    fileprivate var replacingHyphens: String {
        var result = ""
        for character in self {
            result += character == "-" && result.last != "\\" ? "\\-" : String(character)
        }
        return result
    }
}
