/// A rate limit: `burst` at once, refilled at `rate` a second. Pure.
package struct TokenBucket: Sendable {
    private let interval: UInt64
    private let tolerance: UInt64
    /// When the bucket will be full again, in nanoseconds (the virtual scheduling form of the leaky bucket).
    private var fullAt: UInt64

    /// - Parameters:
    ///   - rate: tokens a second, at least 1.
    ///   - burst: tokens in a full bucket, at least 1.
    package init(rate: Int, burst: Int, now: NetworkInstant = NetworkInstant(nanoseconds: 0)) {
        interval = 1_000_000_000 / UInt64(max(rate, 1))
        tolerance = interval * UInt64(max(burst, 1) - 1)
        fullAt = now.nanoseconds
    }

    /// Takes a token; returns how long to wait before acting on it.
    package mutating func take(now: NetworkInstant) -> Duration {
        let start = max(fullAt, now.nanoseconds)
        fullAt = start + interval
        let ahead = start - now.nanoseconds
        return ahead > tolerance ? .nanoseconds(Int64(clamping: ahead - tolerance)) : .zero
    }

    /// Takes a token only when there is one.
    package mutating func takeNow(now: NetworkInstant) -> Bool {
        let start = max(fullAt, now.nanoseconds)
        guard start - now.nanoseconds <= tolerance else { return false }
        fullAt = start + interval
        return true
    }
}
