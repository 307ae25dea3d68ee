/// What a progress line shows: a name, which gives way on a narrow terminal, and figures, which do not.
struct ProgressLine: Equatable, Sendable {
    /// Columns that a name keeps.
    private static let shortestName = 8

    /// Escaped for a terminal.
    let name: String
    let figures: String

    /// The line in at most `columns` columns.
    func text(columns: Int) -> String {
        let room = max(Self.shortestName, columns - 2 - DisplayWidth.columns(figures))
        return DisplayWidth.prefix("\(DisplayWidth.shortened(name, to: room))  \(figures)", columns)
    }
}

/// Turns counts of acknowledged bytes into a line for the terminal and into events, neither too often.
///
/// Calling order: ``update(bytes:at:)`` with times that never go back; each says what is due.
struct ProgressMeter: Sendable {
    struct Due: Equatable, Sendable {
        var line: ProgressLine?
        var event: [JSONField]?
    }

    static let lineInterval = Duration.milliseconds(100)
    /// At most two events a second.
    static let eventInterval = Duration.milliseconds(500)
    /// The rate is that of the last few seconds: of the whole transfer it would hide a stall.
    private static let window = Duration.seconds(3)
    private static let maximumSamples = 64

    /// What is transferred, escaped for a terminal.
    let name: String
    let total: UInt64?
    var path: String?
    private var samples: [(time: Duration, bytes: UInt64)] = []
    private var lastLine: Duration?
    private var lastEvent: Duration?

    init(name: String, total: UInt64?, path: String? = nil) {
        self.name = name
        self.total = total
        self.path = path
    }

    /// - Parameters:
    ///   - bytes: acknowledged so far, so that 100 % means what it says.
    ///   - spared: those of them that nothing was sent for (held before, or holes), which make no rate.
    ///   - time: since the start.
    mutating func update(bytes: UInt64, spared: UInt64 = 0, at time: Duration) -> Due {
        let carried = bytes - min(bytes, spared)
        if samples.last.map({ time - $0.time >= Self.lineInterval }) ?? true { samples.append((time, carried)) }
        while samples.count > 2, samples.count > Self.maximumSamples || time - samples[1].time > Self.window {
            samples.removeFirst()
        }
        let rate = rate(carried, time)
        var due = Due()
        if lastLine.map({ time - $0 >= Self.lineInterval }) ?? true {
            lastLine = time
            due.line = line(bytes, rate)
        }
        if lastEvent.map({ time - $0 >= Self.eventInterval }) ?? true {
            lastEvent = time
            due.event = [
                .int("bytes", bytes), JSONField("total", total.map { .int(Int64(clamping: $0)) } ?? .null),
                .int("rate", rate ?? 0),
            ]
        }
        return due
    }

    /// Bytes a second over the window; nil before there is a first.
    private func rate(_ bytes: UInt64, _ time: Duration) -> UInt64? {
        guard let first = samples.first, time > first.time, bytes >= first.bytes else { return nil }
        let microseconds = UInt64(max(1, (time - first.time).wholeMicroseconds))
        let (product, overflow) = (bytes - first.bytes).multipliedReportingOverflow(by: 1_000_000)
        guard overflow else { return product / microseconds }
        let (rate, exceeds) = ((bytes - first.bytes) / microseconds).multipliedReportingOverflow(by: 1_000_000)
        return exceeds ? .max : rate
    }

    private func line(_ bytes: UInt64, _ rate: UInt64?) -> ProgressLine {
        var parts: [String] = []
        if let total {
            parts.append("\(FixedPoint.bytes(bytes)) of \(FixedPoint.bytes(total))")
            parts.append("\(total == 0 ? 100 : Self.percent(bytes, of: total)) %")
        } else {
            parts.append(FixedPoint.bytes(bytes))
        }
        if let rate { parts.append("\(FixedPoint.bytes(rate))/s") }
        if let left = timeLeft(bytes, rate) { parts.append("\(FixedPoint.clock(seconds: left)) left") }
        if let path { parts.append(path) }
        return ProgressLine(name: name, figures: parts.joined(separator: "  "))
    }

    private static func percent(_ bytes: UInt64, of total: UInt64) -> UInt64 {
        guard bytes < total else { return 100 }
        let (product, overflow) = bytes.multipliedReportingOverflow(by: 100)
        return overflow ? bytes / (total / 100) : product / total
    }

    private func timeLeft(_ bytes: UInt64, _ rate: UInt64?) -> Int64? {
        guard let total, let rate, rate > 0, total > bytes else { return nil }
        return Int64(clamping: (total - bytes) / rate)
    }
}
