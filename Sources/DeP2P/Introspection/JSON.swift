/// A JSON value (RFC 8259), and how it is written: in ASCII alone, so that what strangers chose does nothing to a terminal.
///
/// By hand, as the command's: an encoder of Foundation's would cost every program more than all of this does.
enum JSON: Equatable, Sendable {
    case null
    case bool(Bool)
    case int(Int64)
    /// `value / 1000`.
    case thousandths(Int64)
    case string(String)
    case array([JSON])
    /// In this order.
    case object([Field])

    struct Field: Equatable, Sendable {
        let name: String
        let value: JSON

        init(_ name: String, _ value: JSON) { (self.name, self.value) = (name, value) }
    }

    var encoded: [UInt8] {
        var text: [UInt8] = []
        write(to: &text)
        text.append(UInt8(ascii: "\n"))
        return text
    }

    private func write(to text: inout [UInt8]) {
        switch self {
        case .null: text += "null".utf8
        case .bool(let value): text += (value ? "true" : "false").utf8
        case .int(let value): text += String(value).utf8
        case .thousandths(let value): text += Self.decimal(value).utf8
        case .string(let value): Self.write(value, to: &text)
        case .array(let values):
            text.append(UInt8(ascii: "["))
            for (index, value) in values.enumerated() {
                if index > 0 { text.append(UInt8(ascii: ",")) }
                value.write(to: &text)
            }
            text.append(UInt8(ascii: "]"))
        case .object(let fields):
            text.append(UInt8(ascii: "{"))
            for (index, field) in fields.enumerated() {
                if index > 0 { text.append(UInt8(ascii: ",")) }
                Self.write(field.name, to: &text)
                text.append(UInt8(ascii: ":"))
                field.value.write(to: &text)
            }
            text.append(UInt8(ascii: "}"))
        }
    }

    private static func decimal(_ thousandths: Int64) -> String {
        let digits = String(thousandths.magnitude % 1_000)
        let zeros = String(repeating: "0", count: 3 - digits.utf8.count)
        return (thousandths < 0 ? "-" : "") + "\(thousandths.magnitude / 1_000).\(zeros)\(digits)"
    }

    private static func write(_ string: String, to text: inout [UInt8]) {
        text.append(UInt8(ascii: "\""))
        for unit in string.utf16 {
            switch unit {
            case 0x22, 0x5c: text += [UInt8(ascii: "\\"), UInt8(unit)]
            case 0x20...0x7e: text.append(UInt8(unit))
            default: text += "\\u".utf8 + [12, 8, 4, 0].map { hexDigits[Int(unit >> $0 & 0xf)] }
            }
        }
        text.append(UInt8(ascii: "\""))
    }

    private static let hexDigits = Array("0123456789abcdef".utf8)
}

extension JSON {
    static func text(_ value: String?) -> JSON { value.map(JSON.string) ?? .null }
    static func texts(_ values: some Sequence<String>) -> JSON { .array(values.map(JSON.string)) }
    static func number(_ value: some BinaryInteger) -> JSON { .int(Int64(clamping: value)) }
    static func seconds(_ value: Duration?) -> JSON { thousandths(value, of: .seconds(1)) }
    static func milliseconds(_ value: Duration?) -> JSON { thousandths(value, of: .milliseconds(1)) }

    private static func thousandths(_ value: Duration?, of unit: Duration) -> JSON {
        value.map { .thousandths(Int64(($0 / unit * 1_000).rounded())) } ?? .null
    }
}
