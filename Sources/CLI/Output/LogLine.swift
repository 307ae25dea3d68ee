import DeP2P

/// One line for standard error: what happened, and what is known of it.
struct LogLine: Sendable {
    /// As swift-log's levels are called.
    enum Level: String, Sendable { case trace, debug, info, notice, warning, error, critical }

    let level: Level
    let message: String
    var fields: [JSONField] = []

    /// `message name=value`, with quotes around a value that could be taken for more than one.
    var text: String {
        fields.reduce(message) { text, field in
            guard case .string(let value) = field.value else { return text }
            let isPlain =
                !value.isEmpty && value.utf8.allSatisfy { $0 > 0x20 && $0 != 0x22 && $0 != 0x3d && $0 != 0x7f }
            let escaped = TerminalText.escape(value)
            let quoted = escaped.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\\\"")
            return text + " \(field.name)=" + (isPlain ? escaped : "\"\(quoted)\"")
        }
    }

    /// - Parameter time: milliseconds since 1970.
    func object(at time: UInt64) -> JSONValue {
        .object(
            [
                .string("time", Timestamp.text(time)), .string("level", level.rawValue),
                .string("message", message),
            ] + fields)
    }
}
