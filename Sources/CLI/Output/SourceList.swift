import DeP2P

/// Who was asked where a node is, for people and for programs.
enum SourceList {
    static func lines(_ sources: [SourceReport]) -> [String] {
        sources.map { report in
            let count = report.addresses
            let found = count == 0 ? "nothing" : "\(count) address\(count == 1 ? "" : "es")"
            let detail = report.detail.isEmpty ? "" : ", \(TerminalText.escape(report.detail))"
            let time = report.elapsed.map { FixedPoint.duration($0) } ?? "no answer yet"
            return "  asked \(report.source): \(found)\(detail) (\(time))"
        }
    }

    static func field(_ sources: [SourceReport]) -> JSONField {
        JSONField(
            "sources",
            .array(
                sources.map { report in
                    .object([
                        .string("source", report.source), .int("addresses", report.addresses),
                        .milliseconds("elapsed_ms", report.elapsed), .string("detail", report.detail),
                    ])
                }))
    }
}
