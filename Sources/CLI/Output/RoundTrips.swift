/// The round trips of a ping, summed up.
struct RoundTrips: Equatable, Sendable {
    private(set) var sent = 0
    private var times: [Duration] = []
    /// Beyond this many the oldest are forgotten, except in the counts and the extremes.
    private static let maximumTimes = 100_000
    private var sum = Duration.zero
    private var minimum: Duration?
    private var maximum: Duration?
    private(set) var received = 0

    /// How many times are kept.
    var keptTimes: Int { times.count }

    mutating func recordSent() { sent += 1 }

    mutating func record(_ time: Duration) {
        received += 1
        sum += time
        minimum = minimum.map { min($0, time) } ?? time
        maximum = maximum.map { max($0, time) } ?? time
        if times.count == Self.maximumTimes { times.removeFirst(Self.maximumTimes / 2) }
        times.append(time)
    }

    /// The time that 99 of 100 do not exceed (nearest rank).
    private var percentile99: Duration? {
        guard !times.isEmpty else { return nil }
        return times.sorted()[(times.count * 99 + 99) / 100 - 1]
    }

    private var average: Duration? { received > 0 ? sum / received : nil }

    var fields: [JSONField] {
        [
            .int("sent", sent), .int("received", received), .milliseconds("min_ms", minimum),
            .milliseconds("avg_ms", average), .milliseconds("max_ms", maximum), .milliseconds("p99_ms", percentile99),
        ]
    }

    var summary: String {
        let times = [("min", minimum), ("avg", average), ("p99", percentile99), ("max", maximum)].compactMap {
            name, time in time.map { "\(name) \(FixedPoint.duration($0))" }
        }
        return (["\(received) of \(sent) answered"] + times).joined(separator: ", ")
    }
}
