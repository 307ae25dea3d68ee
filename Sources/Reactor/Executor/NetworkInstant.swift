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
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        let (product, overflow) = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
        guard !overflow else { return .max }
        let (sum, carry) = product.addingReportingOverflow(UInt64(attoseconds) / 1_000_000_000)
        return carry ? .max : sum
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
