import DeP2P

/// A JSON value, written by hand: a command of a few milliseconds has no time to load an encoder.
enum JSONValue: Equatable, Sendable {
    case null
    case bool(Bool)
    case int(Int64)
    /// A number with `decimals` digits after the point: `value / 10^decimals`.
    case fixed(Int64, decimals: Int)
    case string(String)
    case array([JSONValue])
    case object([JSONField])
    /// What ``encoded`` gave for a value before: large ones are not encoded where others wait.
    case preencoded(String)

    /// The value on one line (RFC 8259). Beside what JSON demands, everything is escaped that a terminal could act
    /// on, so that the output can be looked at safely; a decoder gets the very string either way.
    var encoded: String { String(decoding: encodedBytes, as: UTF8.self) }

    /// ``encoded`` in UTF-8, put together as bytes: a hundred thousand files are as many lines.
    var encodedBytes: [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity(256)
        write(to: &text)
        return text
    }

    private func write(to text: inout [UInt8]) {
        switch self {
        case .null: text += "null".utf8
        case .bool(let value): text += (value ? "true" : "false").utf8
        case .int(let value): text += String(value).utf8
        case .fixed(let value, let decimals): text += FixedPoint.text(value, decimals: decimals).utf8
        case .string(let value): Self.write(string: value, to: &text)
        case .preencoded(let value): text += value.utf8
        case .array(let values):
            Self.write(values, between: UInt8(ascii: "["), UInt8(ascii: "]"), to: &text) { $0.write(to: &$1) }
        case .object(let fields):
            Self.write(fields, between: UInt8(ascii: "{"), UInt8(ascii: "}"), to: &text) { field, text in
                Self.write(string: field.name, to: &text)
                text.append(UInt8(ascii: ":"))
                field.value.write(to: &text)
            }
        }
    }

    private static func write<Element>(
        _ elements: [Element], between open: UInt8, _ close: UInt8, to text: inout [UInt8],
        _ body: (Element, inout [UInt8]) -> Void
    ) {
        text.append(open)
        for (index, element) in elements.enumerated() {
            if index > 0 { text.append(UInt8(ascii: ",")) }
            body(element, &text)
        }
        text.append(close)
    }

    private static func write(string: String, to text: inout [UInt8]) {
        text.append(UInt8(ascii: "\""))
        defer { text.append(UInt8(ascii: "\"")) }
        var string = string
        // Most strings are names, numbers and paths with nothing in them to escape.
        let isPlain = string.withUTF8 { bytes in
            guard
                bytes.allSatisfy({ (0x20...0x7e).contains($0) && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") })
            else { return false }
            text += bytes
            return true
        }
        if !isPlain { write(escaping: string, to: &text) }
    }

    private static func write(escaping string: String, to result: inout [UInt8]) {
        var scanner = UTF8Scanner(Array(string.utf8))
        while true {
            result += scanner.takePlain()
            guard let piece = scanner.next() else { break }
            // A string's bytes are valid.
            guard case .scalar(let scalar) = piece else { continue }
            switch scalar {
            case "\"": result += "\\\"".utf8
            case "\\": result += "\\\\".utf8
            case "\n": result += "\\n".utf8
            case "\r": result += "\\r".utf8
            case "\t": result += "\\t".utf8
            case let scalar where TerminalText.isUnsafe(scalar):
                for unit in scalar.utf16 { result += ("\\u" + TerminalText.hex(UInt32(unit), digits: 4)).utf8 }
            case let scalar: result += scalar.utf8
            }
        }
    }
}
