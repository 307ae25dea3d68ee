import Logging

/// Shows on standard error what the engine traces: with `-v` what did not work, with `-vv` everything.
struct TraceLogHandler: LogHandler {
    var metadata = Logger.Metadata()
    var logLevel: Logger.Level
    private let output: Output

    init(_ output: Output) {
        self.output = output
        logLevel =
            switch output.style.verbosity {
            case 2...: .trace
            case 1: .debug
            default: .critical
            }
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    /// What a peer sent may be quoted.
    func log(event: LogEvent) {
        let message = event.message.description
        let all = metadata.merging(event.metadata ?? [:]) { _, new in new }
        output.log(
            LogLine(
                level: LogLine.Level(rawValue: event.level.rawValue) ?? .debug,
                message: output.style.logsJSON ? message : TerminalText.escape(message),
                fields: all.sorted { $0.key < $1.key }.map { .string($0.key, $0.value.description) }))
    }

    /// For the process: once.
    static func install(_ output: Output) { LoggingSystem.bootstrap { _ in TraceLogHandler(output) } }
}
