import Glibc

/// A session with the program, kept in a file: after a heading of `#` lines that says what it pins come blocks of
/// `$ ` a line for the shell, `| ` its standard output, `! ` its standard error, `? ` its status.
///
/// What is different every time is kept as `<NODEID>`, `<HEX64>`, `<PORT>`, `<N>`, `<TIME>`, and `<DIR>` for the folder of
/// the session. Run the tests
/// with `DEP2P_WRITE_TRANSCRIPTS=1` to write what the program does now, and read the difference.
struct Transcript: Sendable, CustomStringConvertible {
    let name: String
    let heading: [String]
    let lines: [String]

    var description: String { name }

    private static var folder: String {
        #filePath.split(separator: "/").dropLast(2).reduce("") { $0 + "/" + $1 } + "/Transcripts"
    }

    static let all: [Transcript] = names().compactMap { name in
        guard let content = Sandbox.read("\(folder)/\(name)") else { return nil }
        let lines = String(decoding: content, as: UTF8.self)
            .split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        let heading = lines.prefix { $0.hasPrefix("#") }
        let commands = lines.filter { $0.hasPrefix("$ ") }.map { String($0.dropFirst(2)) }
        return Transcript(name: name, heading: Array(heading), lines: commands)
    }

    private static func names() -> [String] {
        guard let directory = opendir(folder) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name.hasSuffix(".txt") { names.append(name) }
        }
        return names.sorted()
    }

    var expected: String { String(decoding: Sandbox.read("\(Self.folder)/\(name)") ?? [], as: UTF8.self) }

    /// Runs every line in one sandbox and renders the session as the file has it.
    func replay() throws -> String {
        let sandbox = try Sandbox()
        var text = heading.map { $0 + "\n" }.joined()
        for line in lines {
            let outcome = try sandbox.run(line)
            text += "\n$ \(line)\n"
            text += Self.block("|", outcome.outputText, sandbox) + Self.block("!", outcome.errorText, sandbox)
            text += "? \(outcome.status)\n"
        }
        return text
    }

    func rewrite(_ text: String) {
        let descriptor = open("\(Self.folder)/\(name)", O_WRONLY | O_TRUNC)
        defer { close(descriptor) }
        let bytes = Array(text.utf8)
        _ = write(descriptor, bytes, bytes.count)
    }

    static var isRewriting: Bool { getenv("DEP2P_WRITE_TRANSCRIPTS") != nil }

    private static func block(_ mark: String, _ text: String, _ sandbox: Sandbox) -> String {
        guard !text.isEmpty else { return "" }
        var lines = normalised(text, sandbox).split(separator: "\n", omittingEmptySubsequences: false)
        let isEnded = lines.last == ""
        if isEnded { lines.removeLast() }
        let shown = lines.map { $0.isEmpty ? mark : "\(mark) \($0)" }.joined(separator: "\n")
        return shown + (isEnded ? "\n" : "\n\(mark) <NO END OF LINE>\n")
    }

    /// Replaces what is different every time.
    private static func normalised(_ text: String, _ sandbox: Sandbox) -> String {
        text.split(separator: sandbox.path, omittingEmptySubsequences: false).joined(separator: "<DIR>")
            .replacing(#/12D3KooW[1-9A-HJ-NP-Za-km-z]{44}/#, with: "<NODEID>")
            .replacing(#/\b[0-9a-f]{64}\b/#, with: "<HEX64>")
            .replacing(#//udp/[0-9]+/quic/#, with: "/udp/<PORT>/quic")
            .replacing(#/"(seconds|rate|[a-z0-9]+_ms)":[0-9.]+/#) { "\"\($0.1)\":<N>" }
            .replacing(#/\b[0-9.]+ (ms|s)\b/#, with: "<TIME>")
    }
}
