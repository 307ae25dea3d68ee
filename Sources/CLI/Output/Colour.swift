/// Colour on one stream. It never carries meaning alone.
struct Colour: Sendable {
    static let eraseToEndOfLine = "\u{1b}[K"

    private let isOn: Bool

    init(_ isOn: Bool) { self.isOn = isOn }

    /// Whether the user and the environment allow colour at all: no-color.org, and terminals that say they can't.
    static func isAllowed(noColor: Bool, _ environment: Environment) -> Bool {
        !noColor && environment["NO_COLOR"] == nil && !isDumb(environment)
    }

    /// Whether the terminal takes no escape sequences.
    static func isDumb(_ environment: Environment) -> Bool {
        environment["TERM"] == nil || environment["TERM"] == Array("dumb".utf8)
    }

    func red(_ text: String) -> String { paint(text, "1;31") }
    func cyan(_ text: String) -> String { paint(text, "36") }

    private func paint(_ text: String, _ code: String) -> String { isOn ? "\u{1b}[\(code)m\(text)\u{1b}[0m" : text }
}
