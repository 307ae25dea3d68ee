/// How a node numbers its messages of one topic: pure.
///
/// The lower 22 bits count them, so that who lacks one sees it. The upper 42 are a time in milliseconds since 1970: that of
/// the first, and for the next message once they are ``renewal`` old, whole units of 1,024 ms later. So its number says that a
/// message is no old one (``isCurrent(_:at:)``), later numbers are higher, and the lowest ten bits of the time tell a run from
/// another, as of two processes of one identity.
package struct MessageNumbers: Sendable {
    /// Those that count.
    static let bits: UInt64 = 22
    /// Of a run, so many before the first that comes may be on their way: less than what makes it another run.
    static let reach: UInt64 = 1 << 20
    /// Numbers that are counted further apart belong to two runs.
    static let runDistance: UInt64 = 1 << 21
    /// In milliseconds: how old the time in a number is when the next message gets a later one.
    static let renewal: UInt64 = 30 * unit
    /// In milliseconds.
    private static let unit: UInt64 = 1_024

    private var next: UInt64

    /// - Parameter milliseconds: since 1970.
    package init(startingAt milliseconds: UInt64) { next = Self.first(at: milliseconds) }

    private static func first(at milliseconds: UInt64) -> UInt64 { (milliseconds & (1 << (64 - bits) - 1)) << bits }

    /// - Parameter milliseconds: since 1970, now.
    package mutating func take(at milliseconds: UInt64) -> UInt64 {
        let (now, time) = (Self.time(of: Self.first(at: milliseconds)), Self.time(of: next))
        if now >= time + Self.renewal {
            next = Self.first(at: time + (now - time) / Self.unit * Self.unit) | Self.count(of: next)
        } else if now + Self.renewal < time {
            // The clock was put back: what is ahead of everybody's would be taken by few.
            next = Self.first(at: milliseconds)
        }
        // After the last that can be counted comes the first of another run.
        defer { next &+= 1 }
        return next
    }

    // MARK: Others'

    static func time(of sequence: UInt64) -> UInt64 { sequence >> bits }

    static func count(of sequence: UInt64) -> UInt64 { sequence & (1 << bits - 1) }

    /// Whether one process may have given out `later` some time after `earlier`.
    static func follows(_ later: UInt64, _ earlier: UInt64) -> Bool {
        guard later > earlier, count(of: later) > count(of: earlier) else { return false }
        let passed = time(of: later) - time(of: earlier)
        return passed == 0 || (passed >= renewal && passed % unit == 0)
    }

    /// Which count to begin with where this is the first that came.
    static func first(before sequence: UInt64) -> UInt64 { count(of: sequence) - min(count(of: sequence), reach) }

    /// Whether a message with that number can be news: it is no older than what is still passed on, and clocks differ.
    ///
    /// - Parameter milliseconds: since 1970, now.
    static func isCurrent(_ sequence: UInt64, at milliseconds: UInt64) -> Bool {
        let (now, time) = (time(of: first(at: milliseconds)), time(of: sequence))
        return time + PubSubLimits.newsTime >= now && time <= now + PubSubLimits.clockSkew
    }
}
