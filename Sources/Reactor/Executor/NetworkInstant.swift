/// A point in monotonic time, in nanoseconds since an arbitrary start.
public struct NetworkInstant: Hashable, Comparable, Sendable {
    public let nanoseconds: UInt64

    @inlinable
    public init(nanoseconds: UInt64) {
        self.nanoseconds = nanoseconds
    }

    public static let distantFuture = NetworkInstant(nanoseconds: .max)

    @inlinable
    public static func < (left: Self, right: Self) -> Bool { left.nanoseconds < right.nanoseconds }

    /// Saturates instead of overflowing: a remote party may have chosen the duration.
    @inlinable
    public func advanced(by duration: Duration) -> Self {
        let (sum, overflow) = nanoseconds.addingReportingOverflow(duration.clampedNanoseconds)
        return Self(nanoseconds: overflow ? .max : sum)
    }

    /// How long from `earlier` until this instant; zero when `earlier` is later.
    @inlinable
    public func duration(since earlier: Self) -> Duration {
        earlier < self ? .nanoseconds(Int64(clamping: nanoseconds - earlier.nanoseconds)) : .zero
    }
}

extension Duration {
    /// The whole nanoseconds of a non-negative duration, clamped to what 64 bits hold.
    @usableFromInline package var clampedNanoseconds: UInt64 {
        // One division of 128 bits by 64, which each timer needs; `components` are four.
        guard attoseconds > 0 else { return 0 }
        let high = UInt64(truncatingIfNeeded: attoseconds >> 64), low = UInt64(truncatingIfNeeded: attoseconds)
        let divisor: UInt64 = 1_000_000_000
        return high < divisor ? divisor.dividingFullWidth((high, low)).quotient : .max
    }

    /// Milliseconds with a fraction.
    package var milliseconds: Double {
        let (seconds, attoseconds) = components
        return Double(seconds) * 1e3 + Double(attoseconds) / 1e15
    }

    /// Seconds with a fraction.
    package var seconds: Double {
        let (seconds, attoseconds) = components
        return Double(seconds) + Double(attoseconds) / 1e18
    }
}
