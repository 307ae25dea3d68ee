/// Where a new secret goes.
enum KeyDestination: Equatable, Sendable {
    case file([UInt8])
    /// To a terminal only when the user named it with `-`.
    case standardOutput(named: Bool)

    /// - Parameter path: the value of `--output`, if any.
    init(_ path: [UInt8]?, isJSON: Bool) throws(CLIError) {
        let isDash = path == [UInt8(ascii: "-")]
        if let path, !isDash {
            self = .file(path)
        } else {
            guard !isJSON else {
                throw CLIError(
                    .usage, "--json and the key can't share standard output", hint: "write the key with -o FILE")
            }
            self = .standardOutput(named: isDash)
        }
    }

    /// Refuses to show a secret file to whoever looks over the shoulder, unless told to.
    func check(_ output: Output, what: String) throws(CLIError) {
        guard case .standardOutput(named: false) = self, output.standardOutput.isTerminal else { return }
        throw CLIError(
            .usage, "standard output is a terminal, and \(what) is a secret",
            hint: "write it with -o FILE, or show it with -o -")
    }
}

/// Standard input has one reader.
enum StandardInput {
    /// - Parameter readers: what would read each path, of which at most one may be `-`.
    static func checkSingleReader(_ readers: [(String, [UInt8]?)]) throws(CLIError) {
        let names = readers.filter { $0.1 == [UInt8(ascii: "-")] }.map(\.0)
        guard names.count > 1 else { return }
        throw CLIError(.usage, "\(names.joined(separator: " and ")) can't both read standard input")
    }
}
