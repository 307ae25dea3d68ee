internal import DeP2PReactor

/// Counts frames that say nothing but that their side is at work.
struct EmptyFrames {
    /// So many may come at once, and one more for each second: one in five is needed.
    static let burst = 64

    private let start: NetworkInstant
    private var count = 0

    init(start: NetworkInstant) {
        self.start = start
    }

    /// False when there are too many.
    mutating func take(now: NetworkInstant) -> Bool {
        count += 1
        return count - Self.burst <= Int(clamping: now.duration(since: start).components.seconds)
    }
}
