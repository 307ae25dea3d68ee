/// A moment as RFC 3339 writes it, in UTC.
enum Timestamp {
    /// - Parameter milliseconds: since 1970.
    static func text(_ milliseconds: UInt64) -> String {
        // Nine thousand years on there are four digits no more.
        let seconds = Int64(min(milliseconds / 1_000, 253_402_300_799))
        let (year, month, day) = date(seconds / 86_400)
        let time = seconds % 86_400
        return "\(year)-\(two(month))-\(two(day))T\(two(time / 3_600)):\(two(time / 60 % 60)):\(two(time % 60))Z"
    }

    /// Days since 1970 as a date of the Gregorian calendar: its year is taken to begin in March, so that the odd day of a leap
    /// year comes last.
    private static func date(_ days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = days + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted % 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let marchMonth = (5 * dayOfYear + 2) / 153
        let month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * marchMonth + 2) / 5 + 1)
    }

    private static func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }
}
