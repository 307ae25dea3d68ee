/// The manual pages in portable man(7), one for the program and one for each command.
struct ManPage {
    /// `dep2p-send.1`
    let fileName: String
    let content: String

    static var all: [ManPage] { [program] + CommandTable.commands.map(page) }

    // MARK: The pages

    private static var program: ManPage {
        var roff = Roff(title: Release.program, summary: CommandTable.summary)
        roff.section("SYNOPSIS")
        roff.synopsis(Release.program, "COMMAND [OPTION]...")
        roff.section("DESCRIPTION")
        roff.paragraphs(CommandTable.description)
        roff.subsection("Commands")
        for command in CommandTable.commands {
            roff.term(Markup.roffLiteral("\(Release.program)-\(command.name)") + "(1)", [command.summary + "."])
        }
        roff.section("OPTIONS")
        roff.paragraphs([
            "These stand before or after the command. Those about identity and network are taken by the commands that run "
                + "a node. Of an option that does not repeat, the last one on the line counts."
        ])
        roff.options(CommandTable.commonOptions)
        roff.statuses(ExitStatus.allCases)
        roff.environment(CommandTable.settings)
        roff.files(ManText.files)
        roff.section("NOTES")
        roff.subsection("Requirements")
        roff.paragraphs(ManText.requirements)
        roff.subsection("Settings")
        roff.paragraphs(ManText.settings)
        roff.subsection("JSON output")
        roff.paragraphs(ManText.json)
        for code in CLIError.Code.all {
            roff.term(Markup.roffLiteral(code.name), ["\(code.meaning) Status \(code.status.rawValue)."])
        }
        roff.examples(CommandTable.examples)
        roff.seeAlso(CommandTable.commands.map { "\(Release.program)-\($0.name)" })
        return ManPage(fileName: "\(Release.program).1", content: roff.text)
    }

    private static func page(_ command: CommandEntry) -> ManPage {
        let name = "\(Release.program)-\(command.name)"
        var roff = Roff(title: name, summary: command.summary)
        roff.section("SYNOPSIS")
        for synopsis in command.synopses { roff.synopsis("\(Release.program) \(command.name)", synopsis) }
        roff.section("DESCRIPTION")
        roff.paragraphs(command.description)
        roff.section("OPTIONS")
        roff.options(command.allOptions)
        roff.statuses(command.allStatuses)
        roff.environment(command.allOptions.filter(\.isSetting))
        roff.files(command.files + (command.common.contains(.identity) ? ManText.files : [ManText.configuration]))
        roff.section("NOTES")
        roff.paragraphs(command.notes)
        if !command.listing.isEmpty { roff.listing(command.listing) }
        roff.subsection("JSON output")
        roff.paragraphs(["Beside `hello` and `result`, which \(Release.program)(1) describes, `--json` writes:"])
        for event in command.events { roff.term(Markup.roffLiteral(event.name), [event.meaning]) }
        roff.examples(command.examples)
        roff.seeAlso(
            [Release.program]
                + CommandTable.commands.filter { $0.name != command.name }.map { "\(Release.program)-\($0.name)" })
        return ManPage(fileName: "\(name).1", content: roff.text)
    }
}
