/// The passphrase of an identity, from where the user has it.
enum PassphraseFile {
    private static let maximumBytes = 4096

    /// The first line of the file, without its end; nil when there is no file.
    static func load(_ path: [UInt8]?) throws(CLIError) -> [UInt8]? {
        guard let path else { return nil }
        let content = try FileReading.read(path, limit: maximumBytes, what: "passphrase file")
        var line = Array(content.prefix { $0 != UInt8(ascii: "\n") })
        if line.last == UInt8(ascii: "\r") { line.removeLast() }
        guard !line.isEmpty else {
            throw CLIError(.badPassphrase, "passphrase file '\(TerminalText.escape(path))' has an empty first line")
        }
        return line
    }
}
