import Glibc

/// One JSON object on standard output, its fields in the order given.
struct Report {
    private var fields: [String] = []

    mutating func add(_ name: String, _ value: Double) { fields.append("\"\(name)\":\(value)") }
    mutating func add(_ name: String, _ value: Int) { fields.append("\"\(name)\":\(value)") }
    mutating func add(_ name: String, _ value: String) { fields.append("\"\(name)\":\"\(value)\"") }
    mutating func add(_ name: String, list: [Report]) {
        fields.append("\"\(name)\":[\(list.map(\.text).joined(separator: ","))]")
    }

    var text: String { "{\(fields.joined(separator: ","))}" }

    func show() {
        writeAll(text + "\n", to: STDOUT_FILENO)
    }
}

/// Unbuffered: the other side of a pair waits for the line.
func writeAll(_ text: String, to descriptor: Int32) {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
        let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        guard count > 0 else { return }
        rest = rest.dropFirst(count)
    }
}

/// User and system seconds of this process so far.
func processorSeconds() -> Double {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    let microseconds = usage.ru_utime.tv_usec + usage.ru_stime.tv_usec
    return Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + Double(microseconds) / 1e6
}

func seconds(_ duration: Duration) -> Double {
    Double(duration.components.seconds) + Double(duration.components.attoseconds) / 1e18
}

/// Median and 99th percentile of durations, in microseconds.
func summary(_ mode: String, _ samples: [Duration]) -> Report {
    let sorted = samples.sorted()
    var report = Report()
    report.add("mode", mode)
    report.add("count", sorted.count)
    report.add("median_us", seconds(sorted[sorted.count / 2]) * 1e6)
    report.add("p99_us", seconds(sorted[sorted.count * 99 / 100]) * 1e6)
    return report
}
