import Dispatch

/// A message's body as `dep2p listen` prints it.
enum MessageText: Sendable {
    /// With `--json`.
    case field(JSONField)
    /// For people, escaped for a terminal.
    case line(String)
    /// As it is.
    case content

    init(_ body: [UInt8], isJSON: Bool) {
        guard isJSON else {
            self = .line(TerminalText.escape(body))
            return
        }
        let field = JSONField.text(body, named: "text", orBase64: "base64")
        self = .field(JSONField(field.name, .preencoded(field.value.encoded)))
    }
}

/// Prepares messages away from the network thread, one after another: escaped, they may be six times as large.
///
/// No actor: a task of the network thread would take that one's work along with it (SE-0417).
final class MessageWriter: Sendable {
    private let queue = DispatchQueue(label: "dep2p.messages")

    func text(of body: [UInt8], isJSON: Bool) async -> MessageText {
        await withCheckedContinuation { continuation in
            queue.async { continuation.resume(returning: MessageText(body, isJSON: isJSON)) }
        }
    }
}
