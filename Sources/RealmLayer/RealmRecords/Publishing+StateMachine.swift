internal import DeP2PReactor

/// When a node publishes its record: when it has entered a realm, its addresses have changed, and in time for the next epoch;
/// sooner where nobody took it: pure. That what is published lasts is the store's to see to.
///
/// Calling order: ``setWanted(_:now:)``, ``changed(now:)`` at any time, ``ended(isPlaced:now:)`` after each
/// ``Action/publish``.
struct PublishingMachine: TimedMachine, Sendable {
    /// How often it looks whether an epoch begins, or has ended; less than these overlap.
    static let interval = Duration.seconds(3_600)
    /// Changes within this time are one.
    static let settling = Duration.milliseconds(500)
    /// So many publications that follow each other within this time are made at once; each more waits twice as long as the
    /// one before, up to the longest: a relay that comes and goes would have all its clients write without end.
    static let calm = Duration.seconds(60)
    static let hurried = 4
    static let longestPause = Duration.seconds(30)
    /// While nobody takes it: the first wait, and the longest; each is twice the one before.
    static let firstRetry = Duration.seconds(2)
    static let longestRetry = Duration.seconds(300)

    enum Action: Equatable, Sendable {
        case publish
    }

    private(set) var wake: NetworkInstant?
    private var isWanted = false
    private var isUnderWay = false
    private var isStale = false
    private var retry = firstRetry
    private var publishedAt: NetworkInstant?
    /// Publications of which each came within ``calm`` after the one before.
    private var recent = 0

    mutating func setWanted(_ isWanted: Bool, now: NetworkInstant) {
        self.isWanted = isWanted
        guard isWanted else {
            wake = nil
            return
        }
        retry = Self.firstRetry
        // Others may be looking for it already.
        if isUnderWay { isStale = true } else { wake = now }
    }

    mutating func changed(now: NetworkInstant) {
        guard isWanted else { return }
        retry = Self.firstRetry
        if isUnderWay { isStale = true } else { wake = earlier(due(after: Self.settling, now)) }
    }

    /// Not before the pause that the last publications ask for is over.
    private func due(after wait: Duration, _ now: NetworkInstant) -> NetworkInstant {
        let then = now.advanced(by: wait)
        guard let publishedAt, recent >= Self.hurried else { return then }
        let pause = Self.settling * (2 << min(recent - Self.hurried, 16))
        return max(then, publishedAt.advanced(by: min(pause, Self.longestPause)))
    }

    private func earlier(_ due: NetworkInstant) -> NetworkInstant { wake.map { min($0, due) } ?? due }

    mutating func timerFired(now: NetworkInstant) -> [Action] {
        guard let due = wake, due <= now else { return [] }
        wake = nil
        guard isWanted, !isUnderWay else { return [] }
        isUnderWay = true
        let isCalm = publishedAt.map { now.duration(since: $0) >= Self.calm } ?? true
        recent = isCalm ? 1 : recent + 1
        publishedAt = now
        return [.publish]
    }

    mutating func ended(isPlaced: Bool, now: NetworkInstant) {
        isUnderWay = false
        guard isWanted else { return }
        if isStale {
            isStale = false
            wake = due(after: Self.settling, now)
        } else if isPlaced {
            retry = Self.firstRetry
            wake = now.advanced(by: Self.interval)
        } else {
            wake = due(after: retry, now)
            retry = min(retry * 2, Self.longestRetry)
        }
    }
}
