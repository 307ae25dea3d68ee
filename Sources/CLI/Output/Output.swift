import Glibc
import Synchronization

/// Where a command's words go: results to standard output, everything else to standard error; or, with `--json`,
/// objects of one line to standard output.
///
/// Calling order in the JSON form: ``hello(nodeID:)`` once, ``event(_:_:)`` any number of times, and the program ends
/// with ``finish(_:)`` or ``fail(_:_:)``, which say hello first when the command did not come so far.
final class Output: Sendable {
    enum Form: Sendable { case human, json }

    struct Style: Sendable {
        var form = Form.human
        /// -1 quiet, 0 as usual, 1 and 2 for `-v` and `-vv`.
        var verbosity = 0
        /// What the user and the environment allow; a stream that is no terminal has none anyway.
        var allowsColour = true
        /// The command's name in the hello.
        var command: String?
    }

    /// How a stream is written and whether it shows escape sequences; tests put their own in.
    struct Sink: Sendable {
        let write: @Sendable ([UInt8]) -> Int32?
        let isTerminal: Bool
        let columns: @Sendable () -> Int?

        static func stream(_ stream: StandardStream) -> Self {
            Self(write: { stream.write($0) }, isTerminal: stream.isTerminal, columns: { stream.columns })
        }
    }

    private struct State {
        var saidHello = false
        /// Text of the progress line now on the terminal.
        var hasProgressLine = false
        /// The `errno` of the first write to standard output that failed.
        var failure: Int32?
    }

    let style: Style
    let standardOutput: Sink
    let standardError: Sink
    private let onBrokenPipe: @Sendable () -> Void
    private let state = Mutex(State())

    init(
        _ style: Style, standardOutput: Sink, standardError: Sink, onBrokenPipe: @escaping @Sendable () -> Void = {}
    ) {
        self.style = style
        self.standardOutput = standardOutput
        self.standardError = standardError
        self.onBrokenPipe = onBrokenPipe
    }

    var isJSON: Bool { style.form == .json }
    var showsProgress: Bool { style.form == .human && style.verbosity >= 0 && standardError.isTerminal }

    /// Why standard output could not be written, when it could not: an `errno`.
    var failure: Int32? { state.withLock { $0.failure } }

    // MARK: For people

    /// A line of the result. Nothing in the JSON form, whose result carries it.
    func result(_ line: String) {
        guard style.form == .human else { return }
        writeOutput(Array((line + "\n").utf8))
    }

    /// Content itself, such as received data: only in the human form.
    func content(_ bytes: [UInt8]) { writeOutput(bytes) }

    /// What a peer answered: as it is for a program, escaped for a terminal.
    func reply(_ bytes: [UInt8]) {
        guard style.form == .human else { return }
        if standardOutput.isTerminal {
            writeOutput(Array((TerminalText.escapeLines(bytes) + "\n").utf8))
        } else {
            writeOutput(bytes.last == UInt8(ascii: "\n") ? bytes : bytes + [UInt8(ascii: "\n")])
        }
    }

    /// A line that is no result, on standard error, unless quiet.
    func note(_ line: String) { message(line, from: 0) }

    /// A line for `-v`.
    func detail(_ line: String) { message(line, from: 1) }

    private func message(_ line: String, from level: Int) {
        guard style.verbosity >= level else { return }
        writeError("\(Release.program): \(line)\n")
    }

    /// A line that replaces itself on the terminal; nil takes it away.
    func progress(_ line: String?) {
        guard showsProgress else { return }
        state.withLock { state in
            guard let line else { return clearProgress(&state) }
            state.hasProgressLine = true
            let width = max(20, (standardError.columns() ?? 80) - 1)
            _ = standardError.write(Array(("\r" + String(line.prefix(width)) + Colour.eraseToEndOfLine).utf8))
        }
    }

    // MARK: For programs

    func hello(nodeID: String?) {
        let isFirst = state.withLock { state in
            defer { state.saidHello = true }
            return !state.saidHello
        }
        guard isFirst, isJSON else { return }
        writeObject([
            .int("v", 1), .string("type", "hello"), .string("command", style.command), .string("node_id", nodeID),
            .string("version", Release.version),
        ])
    }

    func event(_ type: String, _ fields: [JSONField]) {
        guard isJSON else { return }
        hello(nodeID: nil)
        writeObject([.int("v", 1), .string("type", type)] + fields)
    }

    // MARK: The end

    func finish(_ result: CommandResult) {
        progress(nil)
        guard isJSON else { return }
        hello(nodeID: nil)
        let status = result.status
        writeObject(
            [
                .int("v", 1), .string("type", "result"), .bool("ok", status == .ok),
                .string("code", status == .ok ? "ok" : "\(status)"), .int("exit", status.rawValue),
            ] + result.fields)
    }

    /// - Parameters:
    ///   - usage: lines between error and hint.
    func fail(_ error: CLIError, usage: [String] = []) {
        progress(nil)
        if !isJSON || style.verbosity >= 0 {
            let colour = Colour(style.allowsColour && standardError.isTerminal)
            writeError("\(Release.program): \(colour.red("error:")) \(error.message)\n")
            for line in usage + error.details { writeError(line + "\n") }
            if let hint = error.hint { writeError("\(Release.program): \(colour.cyan("hint:")) \(hint)\n") }
        }
        guard isJSON else { return }
        hello(nodeID: nil)
        writeObject(
            [
                .int("v", 1), .string("type", "result"), .bool("ok", false), .string("code", error.code.name),
                .int("exit", error.code.status.rawValue), .string("message", error.message),
                .string("hint", error.hint),
            ] + error.fields)
    }

    // MARK: Writing

    private func writeObject(_ fields: [JSONField]) {
        writeOutput(Array((JSONValue.object(fields).encoded + "\n").utf8))
    }

    private func writeOutput(_ bytes: [UInt8]) {
        let isBroken = state.withLock { state in
            clearProgress(&state)
            guard state.failure == nil, let failure = standardOutput.write(bytes) else { return false }
            state.failure = failure
            return true
        }
        if isBroken { onBrokenPipe() }
    }

    private func writeError(_ text: String) {
        state.withLock { state in
            clearProgress(&state)
            // There is nowhere left to say that this failed.
            _ = standardError.write(Array(text.utf8))
        }
    }

    private func clearProgress(_ state: inout State) {
        guard state.hasProgressLine else { return }
        state.hasProgressLine = false
        _ = standardError.write(Array(("\r" + Colour.eraseToEndOfLine).utf8))
    }
}
