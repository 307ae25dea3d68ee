import Glibc
import Synchronization

/// Where a command's words go: results to standard output, everything else to standard error; or, with `--json`,
/// objects of one line to standard output.
///
/// Calling order in the JSON form: ``hello(nodeID:)`` once, ``event(_:_:)`` and ``record(_:_:)`` any number of times, and
/// the program ends with ``finish(_:)`` or ``fail(_:usage:)``, which say hello first when the command did not come so far,
/// and then ``drain(patience:)``.
///
/// No call waits for whoever reads: each stream has a queue and a writer (``OutputLane``). When the reader falls behind,
/// events and notes are dropped and counted; results, records and errors never are.
final class Output: Sendable {
    enum Form: Sendable { case human, json }

    struct Style: Sendable {
        var form = Form.human
        /// -1 quiet, 0 as usual, 1 and 2 for `-v` and `-vv`.
        var verbosity = 0
        /// What the user and the environment allow; a stream that is no terminal has none anyway.
        var allowsColour = true
        /// Whether the terminal takes escape sequences at all; a `TERM=dumb` shows them.
        var allowsEscapes = true
        /// Whether the lines on standard error are JSON objects, whatever the form of standard output.
        var logsJSON = false
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
        /// Whether what could not be written was a result for people or content, the very thing that was asked for.
        var lostContent = false
        /// Events, and notes, dropped since the last that was not.
        var droppedEvents = 0
        var droppedNotes = 0
    }

    /// What becomes of bytes for standard output when nobody reads it.
    private enum Weight: Int { case event, record, content }

    let style: Style
    let standardOutput: Sink
    let standardError: Sink
    private let onBrokenPipe: @Sendable () -> Void
    private let outputLane = OutputLane("stdout")
    private let errorLane: OutputLane
    private let state = Mutex(State())

    init(
        _ style: Style, standardOutput: Sink, standardError: Sink, onBrokenPipe: @escaping @Sendable () -> Void = {}
    ) {
        self.style = style
        self.standardOutput = standardOutput
        self.standardError = standardError
        self.onBrokenPipe = onBrokenPipe
        // On one terminal the order of the two streams shows.
        errorLane = standardOutput.isTerminal && standardError.isTerminal ? outputLane : OutputLane("stderr")
    }

    var isJSON: Bool { style.form == .json }
    var showsProgress: Bool { style.form == .human && style.verbosity >= 0 && standardError.isTerminal }

    /// Why standard output could not be written, when it could not: an `errno`.
    var failure: Int32? { state.withLock { $0.failure } }

    /// Whether what could not be written was the very thing that was asked for, not only a report of it.
    var lostContent: Bool { state.withLock { $0.lostContent } }

    /// Whether so much waits for a reader of standard output that a command had better take on nothing more.
    var isBacklogged: Bool { outputLane.isBacklogged }

    /// Calls `body`, on some thread, once what waits for that reader now has been taken.
    func whenTaken(_ body: @escaping @Sendable () -> Void) { outputLane.whenWritten(body) }

    /// Blocks until everything is written: the last call.
    ///
    /// - Parameter patience: how long at most; nil for as long as it takes.
    /// - Returns: whether everything is.
    func drain(patience: Duration?) -> Bool {
        // Standard error first: a reader of the other may be gone for good.
        let isErrorWritten = errorLane.drain(patience: patience)
        return outputLane.drain(patience: patience) && isErrorWritten
    }

    // MARK: For people

    /// A line of the result. Nothing in the JSON form, whose result carries it.
    func result(_ line: String) {
        guard style.form == .human else { return }
        writeOutput(Array((line + "\n").utf8), .content)
    }

    /// Content itself, such as received data: only in the human form.
    func content(_ bytes: [UInt8]) { writeOutput(bytes, .content) }

    /// Text of which a reader may leave the rest, such as help.
    func courtesy(_ text: String) { writeOutput(Array(text.utf8), .record) }

    /// What a peer answered: as it is for a program, escaped for a terminal.
    func reply(_ bytes: [UInt8]) {
        guard style.form == .human else { return }
        if standardOutput.isTerminal {
            writeOutput(Array((TerminalText.escapeLines(bytes) + "\n").utf8), .content)
        } else {
            writeOutput(bytes.last == UInt8(ascii: "\n") ? bytes : bytes + [UInt8(ascii: "\n")], .content)
        }
    }

    /// A line that is no result, on standard error, unless quiet.
    func note(_ line: String) { message(line, from: 0) }

    /// A line for `-v`.
    func detail(_ line: String) { message(line, from: 1) }

    private func message(_ line: String, from level: Int) {
        guard style.verbosity >= level else { return }
        log(LogLine(level: level == 0 ? .notice : .debug, message: line))
    }

    /// A line of the log; whoever calls knows that its level is wanted.
    func log(_ line: LogLine) { writeError(form(line), limit: OutputLane.capacity) }

    private func form(_ line: LogLine) -> String {
        style.logsJSON ? line.object(at: Timestamp.now()).encoded + "\n" : "\(Release.program): \(line.text)\n"
    }

    /// A line that replaces itself on the terminal; nil takes it away.
    func progress(_ line: ProgressLine?) {
        guard showsProgress else { return }
        state.withLock { state in
            guard let line else { return clearProgress(&state) }
            let width = progressWidth
            let text = "\r" + replacing(with: line.text(columns: width), columns: width)
            if enqueueError(text, limit: OutputLane.progressCapacity) { state.hasProgressLine = true }
        }
    }

    /// The last column stays free: a terminal would go to its next line.
    private var progressWidth: Int { max(20, (standardError.columns() ?? 80) - 1) }

    /// `text` and whatever takes away the rest of a longer line before it.
    private func replacing(with text: String, columns: Int) -> String {
        guard !style.allowsEscapes else { return text + Colour.eraseToEndOfLine }
        return text + String(repeating: " ", count: max(0, columns - DisplayWidth.columns(text)))
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

    /// An event that tells how things go: dropped, and counted in a `dropped` event, when nobody reads.
    func event(_ type: String, _ fields: [JSONField]) {
        guard isJSON else { return }
        hello(nodeID: nil)
        writeObject([.int("v", 1), .string("type", type)] + fields, .event)
    }

    /// An event that carries what was asked for, such as a message that arrived: never dropped.
    func record(_ type: String, _ fields: [JSONField]) {
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
        if style.logsJSON, !isJSON || style.verbosity >= 0 {
            let details: [JSONField] =
                usage.isEmpty && error.details.isEmpty
                ? [] : [JSONField("details", .array((usage + error.details).map(JSONValue.string)))]
            let hint: [JSONField] = error.hint.map { [.string("hint", $0)] } ?? []
            writeError(form(LogLine(level: .error, message: error.message, fields: hint + details)))
        } else if !isJSON || style.verbosity >= 0 {
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

    private func writeObject(_ fields: [JSONField], _ weight: Weight = .record) {
        writeOutput(Self.line(fields), weight)
    }

    private static func line(_ fields: [JSONField]) -> [UInt8] {
        JSONValue.object(fields).encodedBytes + [UInt8(ascii: "\n")]
    }

    private func writeOutput(_ bytes: [UInt8], _ weight: Weight) {
        state.withLock { state in
            clearProgress(&state)
            let limit = weight == .event ? OutputLane.capacity : nil
            let gap = state.droppedEvents
            // A gap is told where it is, or as soon as there is room again.
            let told = gap == 0 ? [] : Self.line([.int("v", 1), .string("type", "dropped"), .int("count", gap)])
            if enqueueOutput(told + bytes, limit: limit, weight) {
                state.droppedEvents = 0
            } else {
                state.droppedEvents += 1
            }
        }
    }

    private func enqueueOutput(_ bytes: [UInt8], limit: Int?, _ weight: Weight) -> Bool {
        outputLane.enqueue(bytes, for: weight.rawValue, limit: limit) { [self] bytes in
            guard failure == nil else { return noteLoss(of: weight) }
            guard let failure = standardOutput.write(bytes) else { return }
            state.withLock { $0.failure = failure }
            noteLoss(of: weight)
            onBrokenPipe()
        }
    }

    private func noteLoss(of weight: Weight) {
        if weight == .content { state.withLock { $0.lostContent = true } }
    }

    private func writeError(_ text: String, limit: Int? = nil) {
        state.withLock { state in
            clearProgress(&state)
            let gap = state.droppedNotes
            let lost = LogLine(level: .warning, message: "\(gap) lines were dropped here: nobody read them in time")
            let told = gap == 0 ? "" : form(lost)
            if enqueueError(told + text, limit: limit) {
                state.droppedNotes = 0
            } else {
                state.droppedNotes += 1
            }
        }
    }

    private func enqueueError(_ text: String, limit: Int?) -> Bool {
        let bytes = Array(text.utf8)
        // There is nowhere left to say that a write failed.
        return errorLane.enqueue(bytes, for: -1, limit: limit) { [standardError] in _ = standardError.write($0) }
    }

    private func clearProgress(_ state: inout State) {
        guard state.hasProgressLine else { return }
        state.hasProgressLine = false
        let width = progressWidth
        let rest = style.allowsEscapes ? "" : "\r"
        _ = enqueueError("\r" + replacing(with: "", columns: width) + rest, limit: nil)
    }
}
