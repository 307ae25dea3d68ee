import DeP2P

/// The passphrase of an identity, from where the user has it.
enum PassphraseFile {
    private static let maximumBytes = 4096

    /// Hands `use` the first line of the file, without its end, and wipes it afterwards; nil when there is no file.
    static func with<Result>(
        _ path: [UInt8]?, _ use: ([UInt8]?) throws(CLIError) -> Result
    ) throws(CLIError) -> Result {
        guard let path else { return try use(nil) }
        var line = try firstLine(path)
        defer { wipe(&line) }
        return try use(line)
    }

    private static func firstLine(_ path: [UInt8]) throws(CLIError) -> [UInt8] {
        var content = try FileReading.read(path, limit: maximumBytes, what: "passphrase file")
        defer { wipe(&content) }
        var line = Array(content.prefix { $0 != UInt8(ascii: "\n") })
        if line.last == UInt8(ascii: "\r") { line.removeLast() }
        guard !line.isEmpty else {
            throw CLIError(.badPassphrase, "passphrase file '\(TerminalText.escape(path))' has an empty first line")
        }
        return line
    }
}
