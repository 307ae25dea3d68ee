/// Every option's value and where it comes from: command line, then variable, then configuration file.
///
/// A value's error says where it stands: on the command line it is the user's typing, elsewhere a wrong configuration.
struct ResolvedOptions: Sendable {
    enum Source: Sendable, Equatable {
        case commandLine
        case variable(String)
        case file([UInt8], line: Int)

        /// Lower wins.
        var rank: Int {
            switch self {
            case .commandLine: 0
            case .variable: 1
            case .file: 2
            }
        }

        var description: String {
            switch self {
            case .commandLine: "the command line"
            case .variable(let name): name
            case .file(let path, let line): "\(TerminalText.escape(path)):\(line)"
            }
        }
    }

    private struct Chosen: Sendable {
        var values: [Argument]
        let source: Source
    }

    let command: CommandEntry
    let operands: [Argument]
    let paths: StandardPaths
    private let chosen: [String: Chosen]

    /// - Parameter files: configuration files, the one that wins first.
    init(_ invocation: Invocation, environment: Environment, files: [ConfigurationFile] = []) throws(CLIError) {
        command = invocation.command
        operands = invocation.operands
        paths = StandardPaths(environment)
        var chosen: [String: Chosen] = invocation.given.mapValues { Chosen(values: $0, source: .commandLine) }
        for option in invocation.command.allOptions where option.isSetting && chosen[option.long] == nil {
            chosen[option.long] = try Self.setting(option, environment, files)
        }
        self.chosen = chosen
    }

    private static func setting(
        _ option: OptionEntry, _ environment: Environment, _ files: [ConfigurationFile]
    ) throws(CLIError) -> Chosen? {
        if let name = option.variable, let value = environment[name] {
            let values =
                option.repeats
                ? value.split(separator: UInt8(ascii: ",")).map { Argument(bytes: Array($0)) }
                : [Argument(bytes: value)]
            return try checked(Chosen(values: values, source: .variable(name)), option)
        }
        for file in files {
            let lines = file.lines.filter { $0.key == option.long }
            guard let last = lines.last else { continue }
            let source = Source.file(file.path, line: last.number)
            return try checked(Chosen(values: lines.map(\.value), source: source), option)
        }
        return nil
    }

    /// A switch that is set elsewhere than on the command line says yes or no.
    private static func checked(_ chosen: Chosen, _ option: OptionEntry) throws(CLIError) -> Chosen {
        guard option.value == nil, let word = chosen.values.last else { return chosen }
        switch word.text {
        case "true", "yes", "on", "1": return Chosen(values: [Argument("")], source: chosen.source)
        case "false", "no", "off", "0": return Chosen(values: [], source: chosen.source)
        default:
            throw CLIError(
                .configuration, "\(chosen.source.description): \(option.long) is neither true nor false: \(word.quoted)"
            )
        }
    }

    // MARK: Reading

    func isSet(_ option: OptionEntry) -> Bool { !(chosen[option.long]?.values.isEmpty ?? true) }

    /// Where the settings come from that stand elsewhere than on the command line, for `-v`.
    var origins: [String] {
        command.allOptions.compactMap { option in
            guard let source = chosen[option.long]?.source, source != .commandLine else { return nil }
            return "--\(option.long) from \(source.description)"
        }
    }

    /// How often a switch was given.
    func count(_ option: OptionEntry) -> Int { chosen[option.long]?.values.count ?? 0 }

    func source(_ option: OptionEntry) -> Source? { chosen[option.long]?.source }

    /// The last value, as `parse` reads it, or nil when the option is nowhere.
    func value<Value>(
        _ option: OptionEntry, as parse: (Argument) throws(CLIError) -> Value
    ) throws(CLIError) -> Value? {
        guard let entry = chosen[option.long], let argument = entry.values.last else { return nil }
        return try Self.read(argument, option, entry.source, parse)
    }

    func values<Value>(
        _ option: OptionEntry, as parse: (Argument) throws(CLIError) -> Value
    ) throws(CLIError) -> [Value] {
        guard let entry = chosen[option.long] else { return [] }
        var values: [Value] = []
        for argument in entry.values { values.append(try Self.read(argument, option, entry.source, parse)) }
        return values
    }

    /// The last value's bytes, for a path.
    func path(_ option: OptionEntry) -> [UInt8]? { chosen[option.long]?.values.last?.bytes }

    private static func read<Value>(
        _ argument: Argument, _ option: OptionEntry, _ source: Source,
        _ parse: (Argument) throws(CLIError) -> Value
    ) throws(CLIError) -> Value {
        do {
            return try parse(argument)
        } catch {
            switch source {
            case .commandLine: throw CLIError(error.code, "--\(option.long): \(error.message)", hint: error.hint)
            case .variable, .file:
                let place = "\(source.description): \(option.long)"
                throw CLIError(.configuration, "\(place): \(error.message)", hint: error.hint)
            }
        }
    }
}
