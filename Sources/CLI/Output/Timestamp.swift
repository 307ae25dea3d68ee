import Glibc

/// The time of day as it stands in JSON: RFC 3339 in UTC, to the millisecond.
enum Timestamp {
    /// Milliseconds since 1970.
    static func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return UInt64(clamping: time.tv_sec) * 1_000 + UInt64(clamping: time.tv_nsec) / 1_000_000
    }

    /// - Parameter milliseconds: since 1970.
    static func text(_ milliseconds: UInt64) -> String {
        let (seconds, fraction) = (milliseconds / 1_000, milliseconds % 1_000)
        let (day, time) = (seconds / 86_400, seconds % 86_400)
        let (year, month, date) = civil(Int64(clamping: day))
        let parts = [(month, 2), (date, 2)].map { padded($0.0, $0.1) }
        let clock = [time / 3_600, time / 60 % 60, time % 60].map { padded(Int64($0), 2) }
        return "\(padded(year, 4))-\(parts.joined(separator: "-"))T\(clock.joined(separator: ":"))."
            + "\(padded(Int64(fraction), 3))Z"
    }

    private static func padded(_ number: Int64, _ digits: Int) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(0, digits - text.count)) + text
    }

    /// The date of the day that is so many days after 1970-01-01 (H. Hinnant, "chrono-compatible low-level date algorithms").
    private static func civil(_ day: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = day + 719_468
        let era = shifted / 146_097
        let ofEra = shifted - era * 146_097
        let yearOfEra = (ofEra - ofEra / 1_460 + ofEra / 36_524 - ofEra / 146_096) / 365
        let ofYear = ofEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * ofYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        return (year, month, ofYear - (153 * shiftedMonth + 2) / 5 + 1)
    }
}
