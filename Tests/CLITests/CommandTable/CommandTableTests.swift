import Testing

@testable import DeP2PCLI

/// What must hold for any table, so that an entry that is forgotten somewhere fails here.
@Suite struct CommandTableTests {
    private static let everyOption =
        CommandTable.commonOptions + CommandTable.commands.flatMap(\.options)

    @Test func commandNamesAreUniqueAndPlain() {
        let names = CommandTable.commands.map(\.name)
        #expect(Set(names).count == names.count)
        #expect(!names.contains("help"))
        for name in names { #expect(name.allSatisfy { $0.isLowercase || $0 == "-" }) }
    }

    @Test func optionNamesAreUniqueInEveryCommandAndBeforeIt() {
        for options in CommandTable.commands.map(\.allOptions) + [CommandTable.commonOptions] {
            let long = options.map(\.long)
            let short = options.compactMap(\.short)
            #expect(Set(long).count == long.count)
            #expect(Set(short).count == short.count)
            #expect(short.allSatisfy { $0.isASCII && $0.isLetter })
            #expect(long.allSatisfy { name in name.count >= 2 && name.allSatisfy { $0.isLowercase || $0 == "-" } })
        }
    }

    @Test func aCommandNeverGivesACommonNameAnotherMeaning() {
        for command in CommandTable.commands {
            for option in command.options { #expect(!CommandTable.commonOptions.contains(option)) }
        }
    }

    @Test func optionsAreSorted() {
        let lists =
            CommandTable.commands.flatMap { [$0.options, $0.common.filter { $0.heading == .network }] }
            + [CommonOptions.general, CommonOptions.identity, CommonOptions.network]
        for list in lists { #expect(list.map(\.long) == list.map(\.long).sorted()) }
    }

    @Test func everyOptionIsDocumented() {
        for option in Self.everyOption {
            #expect(!option.summary.isEmpty && !option.summary.hasSuffix("."), "--\(option.long)")
            #expect(
                !option.paragraphs.isEmpty && option.paragraphs.allSatisfy { $0.hasSuffix(".") }, "--\(option.long)")
        }
    }

    @Test func everyCommandIsDocumented() {
        for command in CommandTable.commands {
            #expect(!command.summary.hasSuffix(".") && command.summary.count <= 70, "\(command.name)")
            #expect(!command.synopses.isEmpty && !command.examples.isEmpty && !command.events.isEmpty)
            #expect(command.description.allSatisfy { $0.hasSuffix(".") })
            #expect(command.events.contains { $0.name == "result" })
        }
    }

    @Test func variablesAreUniqueAndNamedAlike() {
        // Several commands may share an option, but no two options a variable, and a key has one meaning.
        var owners: [String: Set<String>] = [:]
        for option in Self.everyOption { option.variable.map { _ = owners[$0, default: []].insert(option.long) } }
        #expect(owners.values.allSatisfy { $0.count == 1 })
        let keys = CommandTable.settings.map(\.long)
        #expect(Set(keys).count == keys.count)
        let variables = owners.keys
        #expect(variables.allSatisfy { $0.hasPrefix("DEP2P_") })
    }

    @Test func examplesParse() {
        for command in CommandTable.commands {
            for example in command.examples where example.line.hasPrefix("dep2p ") {
                let words = example.line.split(separator: " | ")[0].split(separator: " ").dropFirst()
                // The shell would make one argument of what stands in quotes.
                let line = words.prefix { !$0.hasPrefix("'") } + (example.line.contains("'") ? ["text"] : [])
                guard case .run(let invocation) = ArgumentParser.parse(line.map { Argument(String($0)) }) else {
                    if !example.line.contains("scp") { Issue.record("not taken: \(example.line)") }
                    continue
                }
                #expect(invocation.command.name == command.name)
            }
        }
    }

    @Test func everyCodeHasOneNameAndAStatusOfTheTable() {
        let names = CLIError.Code.all.map(\.name)
        #expect(Set(names).count == names.count)
        let reachable = Set(CLIError.Code.all.map(\.status)).union([.ok])
        #expect(reachable == Set(ExitStatus.allCases))
    }

    @Test func statusesAreThoseOfSysexits() {
        let expected: [UInt8] = [0, 64, 65, 66, 68, 69, 70, 71, 73, 74, 75, 76, 77, 78, 130, 141, 143]
        #expect(ExitStatus.allCases.map(\.rawValue) == expected)
        for status in ExitStatus.allCases { #expect(status.meaning.hasSuffix(".")) }
    }
}
