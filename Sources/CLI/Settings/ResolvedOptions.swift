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

    /// A value and where it stands.
    struct Given: Sendable, Equatable {
        let value: Argument
        let source: Source
    }

    private struct Chosen: Sendable {
        /// Empty for a switch that is off.
        let given: [Given]
        /// Where the last one stands.
        let source: Source

        init(_ values: [Argument], _ source: Source) {
            self.init(values.map { Given(value: $0, source: source) }, from: source)
        }

        init(_ given: [Given], from source: Source) { (self.given, self.source) = (given, source) }
    }

    let command: CommandEntry
    let operands: [Argument]
    let paths: StandardPaths
    let names: NameBook
    /// The configuration files that were read, the one that wins first.
    let files: [[UInt8]]
    private let chosen: [String: Chosen]

    /// - Parameter files: configuration files, the one that wins first.
    init(_ invocation: Invocation, environment: Environment, files: [ConfigurationFile] = []) throws(CLIError) {
        command = invocation.command
        operands = invocation.operands
        paths = StandardPaths(environment)
        names = try NameBook(files)
        self.files = files.map(\.path)
        var chosen: [String: Chosen] = invocation.given.mapValues { Chosen($0, .commandLine) }
        for option in invocation.command.allOptions where option.isSetting && chosen[option.long] == nil {
            chosen[option.long] = try Self.setting(option, environment, files)
        }
        self.chosen = chosen
    }

    private static func setting(
        _ option: OptionEntry, _ environment: Environment, _ files: [ConfigurationFile]
    ) throws(CLIError) -> Chosen? {
        // An empty variable counts as unset; an empty list of who is let in must not come to mean everybody.
        if option == .receptionAllow, let name = option.variable, environment.isSet(name), environment[name] == nil {
            throw CLIError(.configuration, "\(name): empty, which would let in everybody", hint: "unset it for that")
        }
        if let name = option.variable, let value = environment[name] {
            let values =
                option.repeats
                ? value.split(separator: UInt8(ascii: ",")).map { Argument(bytes: Array($0)) }
                : [Argument(bytes: value)]
            guard !values.isEmpty else { throw CLIError(.configuration, "\(name): no value between commas") }
            return try checked(Chosen(values, .variable(name)), option)
        }
        for file in files {
            let given = file.lines.filter { $0.key == option.long }.map { line in
                Given(value: line.value, source: .file(file.path, line: line.number))
            }
            guard let last = given.last else { continue }
            return try checked(Chosen(given, from: last.source), option)
        }
        return nil
    }

    /// A switch that is set elsewhere than on the command line says yes or no.
    private static func checked(_ chosen: Chosen, _ option: OptionEntry) throws(CLIError) -> Chosen {
        guard option.value == nil, let word = chosen.given.last?.value else { return chosen }
        switch word.text {
        case "true", "yes", "on", "1": return Chosen([Argument("")], chosen.source)
        case "false", "no", "off", "0": return Chosen([Given](), from: chosen.source)
        default:
            throw CLIError(
                .configuration, "\(chosen.source.description): \(option.long) is neither true nor false: \(word.quoted)"
            )
        }
    }

    // MARK: Reading

    func isSet(_ option: OptionEntry) -> Bool { !given(option).isEmpty }

    /// Where the settings come from that stand elsewhere than on the command line, for `-v`.
    var origins: [String] {
        command.allOptions.compactMap { option in
            guard let source = chosen[option.long]?.source, source != .commandLine else { return nil }
            return "--\(option.long) from \(source.description)"
        }
    }

    /// The command's settings that have other values in `other`, wherever they stand.
    func settingsThatDiffer(from other: Self) -> [OptionEntry] {
        command.allOptions.filter { $0.isSetting && given($0).map(\.value) != other.given($0).map(\.value) }
    }

    /// How often a switch was given.
    func count(_ option: OptionEntry) -> Int { given(option).count }

    /// What was said of an option, and where; nothing of a switch that is off.
    func given(_ option: OptionEntry) -> [Given] { chosen[option.long]?.given ?? [] }

    func source(_ option: OptionEntry) -> Source? { chosen[option.long]?.source }

    /// The last value, as `parse` reads it, or nil when the option is nowhere.
    func value<Value>(
        _ option: OptionEntry, as parse: (Argument) throws(CLIError) -> Value
    ) throws(CLIError) -> Value? {
        guard let last = given(option).last else { return nil }
        return try Self.read(last, option, parse)
    }

    func values<Value>(
        _ option: OptionEntry, as parse: (Argument) throws(CLIError) -> Value
    ) throws(CLIError) -> [Value] {
        var values: [Value] = []
        for given in given(option) { values.append(try Self.read(given, option, parse)) }
        return values
    }

    /// The last value's bytes, for a path.
    func path(_ option: OptionEntry) -> [UInt8]? { given(option).last?.value.bytes }

    private static func read<Value>(
        _ given: Given, _ option: OptionEntry, _ parse: (Argument) throws(CLIError) -> Value
    ) throws(CLIError) -> Value {
        do {
            return try parse(given.value)
        } catch {
            switch given.source {
            case .commandLine: throw CLIError(error.code, "--\(option.long): \(error.message)", hint: error.hint)
            case .variable, .file:
                let place = "\(given.source.description): \(option.long)"
                throw CLIError(.configuration, "\(place): \(error.message)", hint: error.hint)
            }
        }
    }
}
