/// Metrics in Prometheus' text format, version 0.0.4: each family's HELP and TYPE once, then its samples. Pure.
struct MetricsText: Sendable {
    static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    enum Kind: String, Sendable { case counter, gauge }

    /// One number with its labels.
    struct Sample: Sendable {
        let labels: [(name: String, value: String)]
        let value: String

        init(_ value: some BinaryInteger, _ labels: [(name: String, value: String)] = []) {
            (self.labels, self.value) = (labels, String(value))
        }

        /// `nil` is not known.
        init(_ flag: Bool?) { (labels, value) = ([], flag.map { $0 ? "1" : "0" } ?? "NaN") }
    }

    private(set) var text = ""

    /// - Parameter help: a sentence without a line's end.
    mutating func add(_ name: String, _ kind: Kind, _ help: String, _ samples: [Sample]) {
        guard !samples.isEmpty else { return }
        text += "# HELP \(name) \(help)\n# TYPE \(name) \(kind.rawValue)\n"
        for sample in samples {
            let labels = sample.labels.map { "\($0.name)=\"\(Self.escape($0.value))\"" }.joined(separator: ",")
            text += labels.isEmpty ? "\(name) \(sample.value)\n" : "\(name){\(labels)} \(sample.value)\n"
        }
    }

    /// A label's value: backslash, quote and line feed have an escape, anything else stands for itself.
    static func escape(_ value: String) -> String {
        var result = ""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\\": result += "\\\\"
            case "\"": result += "\\\""
            case "\n": result += "\\n"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
