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
        if isUnderWay { isStale = true } else { wake = earlier(now.advanced(by: Self.settling)) }
    }

    private func earlier(_ due: NetworkInstant) -> NetworkInstant { wake.map { min($0, due) } ?? due }

    mutating func timerFired(now: NetworkInstant) -> [Action] {
        guard let due = wake, due <= now else { return [] }
        wake = nil
        guard isWanted, !isUnderWay else { return [] }
        isUnderWay = true
        return [.publish]
    }

    mutating func ended(isPlaced: Bool, now: NetworkInstant) {
        isUnderWay = false
        guard isWanted else { return }
        if isStale {
            isStale = false
            wake = now.advanced(by: Self.settling)
        } else if isPlaced {
            retry = Self.firstRetry
            wake = now.advanced(by: Self.interval)
        } else {
            wake = now.advanced(by: retry)
            retry = min(retry * 2, Self.longestRetry)
        }
    }
}
