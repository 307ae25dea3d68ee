import Glibc

/// The environment variables as bytes, taken once, so that everything after is a function of its arguments.
struct Environment: Sendable {
    private let variables: [[UInt8]: [UInt8]]

    init(_ variables: [[UInt8]: [UInt8]]) { self.variables = variables }

    init(_ variables: [String: String]) {
        self.variables = Dictionary(
            uniqueKeysWithValues: variables.map { (Array($0.key.utf8), Array($0.value.utf8)) })
    }

    /// The variables of this process.
    static func ofProcess() -> Self {
        var variables: [[UInt8]: [UInt8]] = [:]
        var entry = environ
        while let text = entry.pointee {
            // The system ends every string with a zero byte and the list with a null pointer (environ(7)).
            let bytes = UnsafeRawBufferPointer(start: text, count: strlen(text))
            if let equals = bytes.firstIndex(of: UInt8(ascii: "=")) {
                variables[Array(bytes[..<equals])] = Array(bytes[(equals + 1)...])
            }
            entry += 1
        }
        return Self(variables)
    }

    /// What there is to say of variables that look like settings and are none: unlike in a file it may be another program's,
    /// so it is no error.
    var mistypedSettings: [String] {
        let prefix = Array("DEP2P_".utf8)
        let known = CommandTable.settings.compactMap(\.variable) + ["DEP2P_CONFIG"]
        let tails = known.map { String($0.dropFirst(prefix.count)) }
        return variables.keys.filter { $0.starts(with: prefix) }.map { TerminalText.escape($0) }.sorted().compactMap {
            name in
            guard !known.contains(name),
                let near = NameSuggestion.nearest(to: String(name.dropFirst(prefix.count)), among: tails)
            else { return nil }
            return "\(name) is no setting; did you mean DEP2P_\(near)?"
        }
    }

    func isSet(_ name: String) -> Bool { variables[Array(name.utf8)] != nil }

    /// The value of a variable that is set and not empty: an empty one counts as unset, as in the XDG base directory
    /// specification and NO_COLOR.
    subscript(name: String) -> [UInt8]? {
        guard let value = variables[Array(name.utf8)], !value.isEmpty else { return nil }
        return value
    }
}
