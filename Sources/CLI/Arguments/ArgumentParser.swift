/// What a command line asks for.
enum ParsedCommandLine: Sendable {
    /// Help on one command, or on the program.
    case help(CommandEntry?)
    case version
    case run(Invocation)
    /// The line is wrong; with the command it named, if it got that far.
    case failure(CLIError, CommandEntry?)
}

/// A command line taken apart, its values not yet looked at.
struct Invocation: Sendable {
    let command: CommandEntry
    let operands: [Argument]
    /// By long name. A switch has one empty value for each time it was given.
    let given: [String: [Argument]]
}

/// Takes a command line apart by the table.
///
/// Understood are `-abc`, `-oVALUE`, `-o VALUE`, `--opt=VALUE`, `--opt VALUE`, `--`, and a lone `-` as an operand.
/// There are no abbreviations. Common options may stand before and after the command. `-h`, `--help` and `--version`
/// win over every error on the line.
struct ArgumentParser {
    private var remaining: ArraySlice<Argument>
    private var command: CommandEntry?
    private var operands: [Argument] = []
    private var given: [String: [Argument]] = [:]
    private var takesOptions = true
    private var asksHelpByName = false

    /// - Parameter arguments: without the program's name.
    static func parse(_ arguments: [Argument]) -> ParsedCommandLine {
        var parser = ArgumentParser(remaining: arguments[...])
        do throws(CLIError) {
            return try parser.run()
        } catch {
            let rest = parser.remaining.prefix { $0.text != "--" }
            let command = parser.command ?? rest.lazy.compactMap { $0.text.flatMap(CommandTable.command(named:)) }.first
            if parser.isGiven(.help) || rest.contains(where: { $0.text == "-h" || $0.text == "--help" }) {
                return .help(command)
            }
            if parser.isGiven(.version) || rest.contains(where: { $0.text == "--version" }) { return .version }
            return .failure(error, command)
        }
    }

    private init(remaining: ArraySlice<Argument>) { self.remaining = remaining }

    private mutating func run() throws(CLIError) -> ParsedCommandLine {
        while let argument = remaining.popFirst() {
            try take(argument)
        }
        if asksHelpByName { return try helpByName() }
        if isGiven(.help) { return .help(command) }
        if isGiven(.version) { return .version }
        guard let command else { throw CLIError(.usage, "no command given") }
        if command.operands == .none, let first = operands.first {
            throw CLIError(.usage, "\(command.name) takes no operand: \(first.quoted)")
        }
        return .run(Invocation(command: command, operands: operands, given: given))
    }

    private mutating func take(_ argument: Argument) throws(CLIError) {
        let dash = UInt8(ascii: "-")
        let bytes = argument.bytes
        switch (bytes.first, bytes.dropFirst().first) {
        case _ where !takesOptions: try takeOperand(argument)
        case (dash, dash) where bytes.count == 2: takesOptions = false
        case (dash, dash): try takeLong(bytes.dropFirst(2))
        case (dash, .some): try takeShort(bytes.dropFirst())
        default: try takeOperand(argument)
        }
    }

    private mutating func takeOperand(_ argument: Argument) throws(CLIError) {
        guard command == nil, !asksHelpByName else {
            operands.append(argument)
            return
        }
        guard argument.text != "help" else {
            asksHelpByName = true
            return
        }
        command = try Self.command(argument)
    }

    private static func command(_ argument: Argument) throws(CLIError) -> CommandEntry {
        if let name = argument.text, let entry = CommandTable.command(named: name) { return entry }
        let names = CommandTable.commands.map(\.name)
        let near = argument.text.flatMap { NameSuggestion.nearest(to: $0, among: names) }
        throw CLIError(.usage, "unknown command \(argument.quoted)", hint: near.map { "did you mean \($0)?" })
    }

    private func helpByName() throws(CLIError) -> ParsedCommandLine {
        guard let topic = operands.first else { return .help(nil) }
        return .help(try Self.command(topic))
    }

    private mutating func takeLong(_ bytes: ArraySlice<UInt8>) throws(CLIError) {
        let equals = bytes.firstIndex(of: UInt8(ascii: "="))
        let name = bytes[..<(equals ?? bytes.endIndex)]
        let attached = equals.map { Argument(bytes: Array(bytes[($0 + 1)...])) }
        guard let option = available.first(where: { name.elementsEqual($0.long.utf8) }) else {
            throw unknown(long: Argument(bytes: Array(name)))
        }
        if option.value == nil {
            guard attached == nil else { throw CLIError(.usage, "--\(option.long) takes no value") }
            record(option, Argument(""))
        } else {
            try takeValue(of: option, shown: "--" + option.long, attached: attached)
        }
    }

    private mutating func takeShort(_ bytes: ArraySlice<UInt8>) throws(CLIError) {
        var rest = bytes
        while let letter = rest.popFirst() {
            guard let option = available.first(where: { $0.short?.asciiValue == letter }) else {
                throw unknown(short: letter)
            }
            if option.value == nil {
                record(option, Argument(""))
            } else {
                let attached = rest.isEmpty ? nil : Argument(bytes: Array(rest))
                return try takeValue(of: option, shown: "-" + String(UnicodeScalar(letter)), attached: attached)
            }
        }
    }

    private mutating func takeValue(
        of option: OptionEntry, shown: String, attached: Argument?
    ) throws(CLIError) {
        let placeholder = option.value?.placeholder ?? ""
        guard let value = attached ?? remaining.popFirst() else {
            throw CLIError(.usage, "\(shown) needs a value: \(placeholder)")
        }
        guard !value.bytes.isEmpty else {
            throw CLIError(.usage, "\(shown) has an empty value: it needs \(placeholder)")
        }
        record(option, value)
    }

    private mutating func record(_ option: OptionEntry, _ value: Argument) {
        given[option.long, default: []].append(value)
    }

    private func isGiven(_ option: OptionEntry) -> Bool { given[option.long] != nil }

    /// The options that can stand here.
    private var available: [OptionEntry] { command?.allOptions ?? CommandTable.commonOptions }

    private func unknown(long name: Argument) -> CLIError {
        let shown = "--" + TerminalText.escape(name.bytes)
        let owners = CommandTable.commands.filter { entry in
            entry.allOptions.contains { name.bytes.elementsEqual($0.long.utf8) }
        }
        if let command, !owners.isEmpty { return CLIError(.usage, "\(command.name) takes no \(shown)") }
        if let owner = owners.first {
            return CLIError(.usage, "\(shown) stands before the command", hint: "write dep2p \(owner.name) \(shown)")
        }
        let near = name.text.flatMap { NameSuggestion.nearest(to: $0, among: available.map(\.long)) }
        return CLIError(.usage, "unknown option \(shown)", hint: near.map { "did you mean --\($0)?" })
    }

    private func unknown(short letter: UInt8) -> CLIError {
        let shown = "-" + TerminalText.escape(CollectionOfOne(letter))
        let isElsewhere = CommandTable.commands.contains { entry in
            entry.options.contains { $0.short?.asciiValue == letter }
        }
        if let command, isElsewhere { return CLIError(.usage, "\(command.name) takes no \(shown)") }
        return CLIError(.usage, isElsewhere ? "\(shown) stands before the command" : "unknown option \(shown)")
    }
}
