import Testing

@testable import DeP2PCLI

@Suite struct RenderingTests {
    private static let root = #filePath.split(separator: "/").dropLast(4).reduce("") { $0 + "/" + $1 }

    /// After a change of the table: `dep2p __render .` in the repository.
    @Test(arguments: Rendering.files.map(\.path))
    func theCommittedFileIsWhatTheTableRenders(_ path: String) throws {
        let file = try #require(Rendering.files.first { $0.path == path })
        let committed = try #require(Sandbox.read("\(Self.root)/\(path)"), "\(path) is missing: dep2p __render .")
        #expect(String(decoding: committed, as: UTF8.self) == file.content, "render again: dep2p __render .")
    }

    @Test func everyCommandHasAPageAndEveryOptionStandsEverywhere() throws {
        let completions = Rendering.files.filter { $0.path.hasPrefix("completions/") }.map(\.content)
        for command in CommandTable.commands {
            let page = try #require(Rendering.files.first { $0.path == "man/dep2p-\(command.name).1" }).content
            let help = HelpText.render(command)
            for option in command.allOptions {
                #expect(page.contains(Markup.roffLiteral("--" + option.long)), "\(command.name) --\(option.long)")
                #expect(help.contains(" --\(option.long)"))
            }
            for text in completions {
                for option in command.allOptions {
                    // fish writes `-l name`.
                    #expect(text.contains("--\(option.long)") || text.contains("-l \(option.long)"))
                }
            }
        }
    }

    @Test func helpFitsTheTerminalStartsWithExamplesAndEndsWithWhereToReport() throws {
        for command in [nil] + CommandTable.commands.map(Optional.some) {
            let help = HelpText.render(command)
            let lines = help.split(separator: "\n", omittingEmptySubsequences: false)
            #expect(lines.allSatisfy { $0.count <= 79 }, "\(lines.first { $0.count > 79 } ?? "")")
            #expect(lines[2] == "Examples:")
            #expect(help.split(separator: "Report problems to").count == 2)
            #expect(help.hasSuffix("repository.\n"))
            #expect(!help.contains("`"))
        }
    }

    @Test(arguments: Rendering.files.map(\.path).filter { $0.hasPrefix("man/") })
    func manualPagesAreCleanToBothFormatters(_ path: String) throws {
        let sandbox = try Sandbox()
        let file = try #require(Rendering.files.first { $0.path == path })
        sandbox.write(file.content, to: "page.1")
        for (tool, package) in [("man", "man-db"), ("mandoc", "mandoc")] {
            #expect(
                try sandbox.run("command -v \(tool)").status == 0, "install the package \(package) to run this test")
        }
        let groff = try sandbox.run("man --warnings -l -Tutf8 -Z page.1 >/dev/null")
        #expect(groff.status == 0 && groff.error.isEmpty, "\(groff.errorText)")
        let mandoc = try sandbox.run("mandoc -Tlint -Wwarning page.1")
        #expect(mandoc.output.isEmpty, "\(mandoc.outputText)")
    }

    @Test func manualSectionsStandInTheirOrder() throws {
        let wanted = [
            "NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "ENVIRONMENT", "FILES", "NOTES", "EXAMPLES",
            "SEE ALSO",
        ]
        for file in Rendering.files where file.path.hasPrefix("man/") {
            let sections = file.content.split(separator: "\n").filter { $0.hasPrefix(".SH ") }
            #expect(sections.map { String($0.dropFirst(5).dropLast()) } == wanted, "\(file.path)")
        }
    }

    @Test func markup() {
        #expect(Markup.plain("use `--to` here") == "use --to here")
        #expect(Markup.roff("use `--to` or C:\\x ~") == "use \\fB\\-\\-to\\fR or C:\\ex \\(ti")
        #expect(Markup.wrap("aa bb cc", width: 5) == ["aa bb", "cc"])
        #expect(Markup.wrap("longerthanwidth b", width: 5) == ["longerthanwidth", "b"])
        #expect(Markup.wrap("", width: 5).isEmpty)
        #expect(ShellQuoting.posix("it's") == "'it'\\''s'")
        #expect(ShellQuoting.fish("it's \\") == "'it\\'s \\\\'")
    }
}
