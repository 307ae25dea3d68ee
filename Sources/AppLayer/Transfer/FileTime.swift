internal import Glibc

/// A file's time: whole seconds since 1970 and nanoseconds of the next, as `timespec` has it.
///
/// The wire and `stat` both give integers that nobody has looked at: a peer's nanoseconds may be any 64 bits, and a file
/// system may hold any number of seconds (`touch -d @9223372036.999999999`). Nothing here overflows.
struct FileTime: Hashable, Sendable {
    private static let billion: Int64 = 1_000_000_000

    /// Nanoseconds since 1970: what travels.
    let nanoseconds: Int64

    init(nanoseconds: Int64) {
        self.nanoseconds = nanoseconds
    }

    /// `nil` when 64 bits of nanoseconds cannot hold it (before 1678, after 2261): such a time is not sent.
    init?(_ time: timespec) {
        guard (0..<Int(Self.billion)).contains(time.tv_nsec) else { return nil }
        // Counted from the second that is nearer to 1970, so that the ends of the range are reached from within.
        let carries = time.tv_sec < 0 && time.tv_nsec > 0
        let (seconds, carried) = Int64(time.tv_sec).addingReportingOverflow(carries ? 1 : 0)
        let rest = Int64(time.tv_nsec) - (carries ? Self.billion : 0)
        let (whole, tooLarge) = seconds.multipliedReportingOverflow(by: Self.billion)
        let (sum, overflow) = whole.addingReportingOverflow(rest)
        guard !carried, !tooLarge, !overflow else { return nil }
        nanoseconds = sum
    }

    /// Rounded towards the past, with nanoseconds from 0 on, as futimens(2) wants it.
    var timespec: Glibc.timespec {
        var (seconds, rest) = nanoseconds.quotientAndRemainder(dividingBy: Self.billion)
        if rest < 0 {
            seconds -= 1  // far from the end: it was divided by 10^9
            rest += Self.billion
        }
        return Glibc.timespec(tv_sec: Int(seconds), tv_nsec: Int(rest))
    }
}
