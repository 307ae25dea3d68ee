import DeP2P

/// The attempts to connect, for people and for programs.
enum AttemptTable {
    /// What a table of this many rows cannot tell, a longer one cannot either.
    private static let maximumRows = 16

    static func lines(_ attempts: [ConnectAttempt]) -> [String] {
        let shown = attempts.prefix(maximumRows)
        let rows =
            [["stage", "address", "time", "outcome"]]
            + shown.map { attempt in
                let detail = attempt.detail.isEmpty ? "" : ": \(attempt.detail)"
                return [
                    attempt.stage.rawValue, TerminalText.escape(attempt.address), FixedPoint.duration(attempt.elapsed),
                    attempt.outcome.rawValue + TerminalText.escape(detail),
                ]
            }
        let widths = (0..<3).map { column in rows.map { $0[column].count }.max() ?? 0 }
        let lines = rows.map { row in
            "  " + zip(row, widths).map { $0 + String(repeating: " ", count: $1 - $0.count + 2) }.joined() + row[3]
        }
        let rest = attempts.count - shown.count
        return lines + (rest > 0 ? ["  and \(rest) more"] : [])
    }

    static func field(_ attempts: [ConnectAttempt]) -> JSONField {
        JSONField(
            "attempts",
            .array(
                attempts.map { attempt in
                    .object([
                        .string("stage", attempt.stage.rawValue), .string("address", attempt.address),
                        .milliseconds("elapsed_ms", attempt.elapsed), .string("outcome", attempt.outcome.rawValue),
                        .string("detail", attempt.detail),
                    ])
                }))
    }
}
