internal import DeP2PReactor

/// When a node looks for itself in the DHT beyond what its table asks for: at its start, when its network or its addresses
/// have changed, and again and again while nobody answers: pure.
///
/// Calling order: ``begin(now:)``, ``changed(now:)`` at any time, ``ended(hasFoundAnybody:now:)`` after each ``Action/join``.
struct JoinMachine: TimedMachine, Sendable {
    /// Changes within this time are one.
    static let settling = Duration.milliseconds(500)
    /// While nobody answers: the first wait, and the longest; each is twice the one before.
    static let firstRetry = Duration.seconds(5)
    static let longestRetry = Duration.seconds(300)

    enum Action: Equatable, Sendable {
        case join
    }

    private var isUnderWay = false
    private var retry = firstRetry
    private(set) var wake: NetworkInstant?
    /// Something has changed while it was under way.
    private var isStale = false

    mutating func begin(now: NetworkInstant) -> [Action] { join() }

    mutating func changed(now: NetworkInstant) -> [Action] {
        retry = Self.firstRetry
        if isUnderWay {
            isStale = true
        } else {
            let due = now.advanced(by: Self.settling)
            wake = wake.map { min($0, due) } ?? due
        }
        return []
    }

    mutating func ended(hasFoundAnybody: Bool, now: NetworkInstant) -> [Action] {
        isUnderWay = false
        if isStale {
            isStale = false
            wake = now.advanced(by: Self.settling)
        } else if hasFoundAnybody {
            retry = Self.firstRetry
        } else {
            wake = now.advanced(by: retry)
            retry = min(retry * 2, Self.longestRetry)
        }
        return []
    }

    mutating func timerFired(now: NetworkInstant) -> [Action] {
        guard let wake, wake <= now else { return [] }
        self.wake = nil
        return join()
    }

    private mutating func join() -> [Action] {
        guard !isUnderWay else { return [] }
        isUnderWay = true
        wake = nil
        return [.join]
    }
}
