internal import DeP2PReactor

/// A limit of bytes a second, with a burst of one second's worth divided by ``burstsPerSecond``: pure.
struct ByteBucket {
    /// A burst is a quarter of a second's bytes: enough for the window of a path of 250 ms.
    static let burstsPerSecond: UInt64 = 4
    /// No burst is smaller than a few full trains, or nothing would ever pass.
    static let smallestBurst: UInt64 = 256 * 1024

    private let rate: UInt64
    private let burst: UInt64
    private var level: UInt64
    private var updated: NetworkInstant

    /// - Parameter rate: bytes a second, at least 1.
    init(rate: UInt64, now: NetworkInstant) {
        self.rate = max(rate, 1)
        burst = max(rate / Self.burstsPerSecond, Self.smallestBurst)
        level = burst
        updated = now
    }

    /// Takes `count` bytes when there are as many.
    mutating func take(_ count: Int, now: NetworkInstant) -> Bool {
        if now > updated {
            let product = rate.multipliedFullWidth(by: now.nanoseconds - updated.nanoseconds)
            // The quotient fits unless more than 2^64 bytes have come due, and then the bucket is full anyway.
            let due = product.high < 1_000_000_000 ? UInt64(1_000_000_000).dividingFullWidth(product).quotient : .max
            // What is less than a byte is kept by not moving the time for it.
            if due > 0 {
                level = due >= burst - level ? burst : level + due
                updated = now
            }
        }
        guard count >= 0, UInt64(count) <= level else { return false }
        level -= UInt64(count)
        return true
    }
}
