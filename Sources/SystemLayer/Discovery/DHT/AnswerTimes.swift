internal import DeP2PReactor

/// How long the nodes that one operation asks take to answer, and so how long the next is waited for before another is asked
/// beside it: pure. Who is slow is not given up by that.
struct AnswerTimes: Sendable {
    static let least: Duration = .milliseconds(150)
    /// The last answer's part in the mean (RFC 6298, alpha).
    private static let weight = 0.125

    private let limit: Duration
    private let slack: Double?
    private var mean: Double?

    /// - Parameters:
    ///   - limit: what is waited before anybody has answered, and at most.
    ///   - slack: so many times the mean is waited else; `nil` when always the limit is.
    init(limit: Duration, slack: Double?) { (self.limit, self.slack) = (limit, slack) }

    mutating func add(_ elapsed: Duration) {
        mean = mean.map { $0 + (elapsed.seconds - $0) * Self.weight } ?? elapsed.seconds
    }

    var patience: Duration {
        guard let mean, let slack else { return limit }
        return min(max(.seconds(mean * slack), Self.least), limit)
    }
}
