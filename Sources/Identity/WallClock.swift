internal import Glibc

/// The time of day, which people and networks set, forwards and backwards.
package enum WallClock {
    /// Milliseconds since 1970.
    @Sendable package static func milliseconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return UInt64(clamping: time.tv_sec) &* 1_000 &+ UInt64(clamping: time.tv_nsec) / 1_000_000
    }
}
