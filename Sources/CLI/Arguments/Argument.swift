/// One argument as the system gave it: bytes, since a path need not be UTF-8.
struct Argument: Hashable, Sendable {
    let bytes: [UInt8]

    init(bytes: [UInt8]) { self.bytes = bytes }
    init(_ text: String) { bytes = Array(text.utf8) }

    /// The argument as text, when it is UTF-8.
    var text: String? { String(validating: bytes, as: UTF8.self) }

    /// The argument for a message: quoted, and escaped where a terminal could take it for something else.
    var quoted: String { "'" + TerminalText.escape(bytes) + "'" }

    /// A lone `-`: standard input or output.
    var isDash: Bool { bytes == [UInt8(ascii: "-")] }
}
