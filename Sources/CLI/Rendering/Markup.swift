/// The table's prose for its two readers: backquotes mark literals.
enum Markup {
    /// For the help, where a literal stands as it is.
    static func plain(_ text: String) -> String { text.filter { $0 != "`" } }

    /// For man(7): literals bold, and nothing that roff would take for a request or an escape.
    static func roff(_ text: String) -> String {
        var result = ""
        var isLiteral = false
        for character in text {
            switch character {
            case "`":
                isLiteral.toggle()
                result += isLiteral ? "\\fB" : "\\fR"
            case "\\": result += "\\e"
            case "-" where isLiteral: result += "\\-"
            case "'" where isLiteral: result += "\\(aq"
            case "~": result += "\\(ti"
            case "^": result += "\\(ha"
            default: result.append(character)
            }
        }
        return result
    }

    static func roffLiteral(_ text: String) -> String { roff("`" + text + "`") }

    /// Breaks text between words so that no line has more than `width` columns where that is possible.
    static func wrap(_ text: String, width: Int) -> [String] {
        var lines: [String] = []
        var line = ""
        for word in text.split(separator: " ") {
            if !line.isEmpty, line.count + 1 + word.count > width {
                lines.append(line)
                line = ""
            }
            line += (line.isEmpty ? "" : " ") + word
        }
        return line.isEmpty ? lines : lines + [line]
    }
}
