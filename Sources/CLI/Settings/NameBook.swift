import DeP2P

/// The names that the configuration gives to nodes, which stand wherever a NodeID or an address is wanted:
/// `name.laptop = 12D3KooW…`, or an address.
struct NameBook: Sendable, Equatable {
    struct Entry: Sendable, Equatable {
        let name: String
        let value: Argument
        let target: Target
        let source: ResolvedOptions.Source
    }

    /// Sorted by name.
    let entries: [Entry]

    /// The most letters of a name: a DNS label's (RFC 1035 section 2.3.4).
    static let longestName = 63

    init() { entries = [] }

    /// - Parameter files: the one that wins first.
    init(_ files: [ConfigurationFile]) throws(CLIError) {
        var entries: [String: Entry] = [:]
        for file in files.reversed() {
            for line in file.lines where line.key.hasPrefix(ConfigurationFile.namePrefix) {
                let entry = try Self.entry(line, .file(file.path, line: line.number))
                entries[entry.name] = entry
            }
        }
        self.entries = entries.values.sorted { $0.name < $1.name }
    }

    private static func entry(
        _ line: ConfigurationFile.Line, _ source: ResolvedOptions.Source
    ) throws(CLIError) -> Entry {
        let name = String(line.key.dropFirst(ConfigurationFile.namePrefix.count))
        let place = source.description
        guard isName(name) else {
            throw CLIError(
                .configuration, "\(place): '\(TerminalText.escape(name))' can't be a name",
                hint: "a name has letters, digits, - and _, begins with a letter or digit, and is no NodeID")
        }
        do {
            return Entry(name: name, value: line.value, target: try Target(line.value), source: source)
        } catch {
            throw CLIError(.configuration, "\(place): \(line.key): \(error.message)", hint: error.hint)
        }
    }

    /// Whether a word can be taken for neither an option, an address, a NodeID nor a path.
    static func isName(_ word: String) -> Bool {
        func isLetterOrDigit(_ byte: UInt8) -> Bool {
            (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
        }
        guard let first = word.utf8.first, isLetterOrDigit(first), word.utf8.count <= longestName else { return false }
        guard word.utf8.allSatisfy({ isLetterOrDigit($0) || "-_".utf8.contains($0) }) else { return false }
        // What is no NodeID throws.
        return (try? NodeID(word)) == nil
    }

    // MARK: Reading

    /// Where all the named nodes are, as far as their addresses say whose they are.
    var addresses: [Address] {
        entries.compactMap { entry in
            guard case .address(let address) = entry.target, address.nodeID != nil else { return nil }
            return address
        }
    }

    /// Whom a command is to reach.
    func target(_ argument: Argument) throws(CLIError) -> Target {
        if let entry = entry(argument) { return entry.target }
        do { return try Target(argument) } catch { throw suggesting(error, argument) }
    }

    func nodeID(_ argument: Argument) throws(CLIError) -> NodeID {
        guard let entry = entry(argument) else {
            do { return try ArgumentValue.nodeID(argument) } catch { throw suggesting(error, argument) }
        }
        guard let nodeID = entry.target.nodeID else {
            throw CLIError(
                .badNodeID, "the name \(entry.name) stands for an address that names no node",
                hint: "add /p2p/NODEID to it in \(entry.source.description)")
        }
        return nodeID
    }

    /// An address that names its node.
    func peerAddress(_ argument: Argument) throws(CLIError) -> Address {
        guard let entry = entry(argument) else {
            do { return try ArgumentValue.peerAddress(argument) } catch { throw suggesting(error, argument) }
        }
        guard try address(of: entry).nodeID != nil else {
            throw CLIError(
                .badAddress, "the name \(entry.name) stands for an address that names no node",
                hint: "add /p2p/NODEID to it in \(entry.source.description)")
        }
        return try address(of: entry)
    }

    func address(_ argument: Argument) throws(CLIError) -> Address {
        if let entry = entry(argument) { return try address(of: entry) }
        do { return try ArgumentValue.address(argument) } catch { throw suggesting(error, argument) }
    }

    private func entry(_ argument: Argument) -> Entry? {
        guard !entries.isEmpty, let name = argument.text else { return nil }
        return entries.first { $0.name == name }
    }

    private func address(of entry: Entry) throws(CLIError) -> Address {
        guard case .address(let address) = entry.target else {
            throw CLIError(
                .badAddress, "the name \(entry.name) stands for a NodeID, and an address is wanted",
                hint: "write its address with /p2p/NODEID in \(entry.source.description)")
        }
        return address
    }

    /// The error, with the name that was probably meant.
    private func suggesting(_ error: CLIError, _ argument: Argument) -> CLIError {
        guard let word = argument.text, Self.isName(word),
            let near = NameSuggestion.nearest(to: word, among: entries.map(\.name))
        else { return error }
        return CLIError(error.code, error.message, hint: "did you mean the name \(near)?")
    }
}

/// `dep2p __names` lists the names for the completions, one a line. A configuration that is wrong elsewhere, or can't be
/// read at once, costs no more than its names.
enum NameListing {
    /// - Returns: nil when the arguments say something else.
    static func runHidden(_ arguments: [Argument], _ environment: Environment) -> ExitStatus? {
        guard arguments.count == 1, arguments[0].text == "__names" else { return nil }
        var names: Set<String> = []
        for path in ConfigurationLoading.paths(nil, environment) { names.formUnion(self.names(in: path)) }
        let text = names.sorted().map { $0 + "\n" }.joined()
        _ = StandardStream.output.write(Array(text.utf8))
        return .ok
    }

    private static func names(in path: [UInt8]) -> [String] {
        // There is nobody to tell why.
        let content = try? FileReading.read(
            path, limit: ConfigurationFile.maximumBytes, what: "configuration file", patience: .zero)
        let lines = (content ?? []).split(separator: UInt8(ascii: "\n"))
        return lines.compactMap { line in
            let text = String(decoding: line.filter { $0 != 0x20 && $0 != 0x09 }, as: UTF8.self)
            guard text.hasPrefix(ConfigurationFile.namePrefix) else { return nil }
            let name = String(text.dropFirst(ConfigurationFile.namePrefix.count).prefix { $0 != "=" })
            return NameBook.isName(name) ? name : nil
        }
    }
}
