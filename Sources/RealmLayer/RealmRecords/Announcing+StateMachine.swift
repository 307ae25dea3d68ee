internal import DeP2PReactor

/// When a member looks at the announce slots of its realm, to meet others or to announce itself there: pure.
///
/// Calling order: ``set(announces:reads:now:)`` when either changes, ``changed(now:)`` when it has something else to say,
/// ``ended(_:isLonely:now:)`` after each ``Action/look``.
struct AnnouncingMachine: TimedMachine, Sendable {
    /// As ``AnnounceBoard/renewal`` has it.
    static let renewal = Duration.milliseconds(AnnounceBoard.renewal)
    /// After having written: another one may have taken the same slot at the same time. Twice as long each time that one has,
    /// up to ``longestRetry``: more members than there are slots, none of whom meets another, displace each other.
    static let checkDelay = Duration.seconds(5)
    /// Changes within this time are one.
    static let settling = Duration.milliseconds(500)
    /// While nobody answers, or nobody was met who is looked for: the first wait, and the longest; each is twice the one
    /// before. The longest, too, while others were met and more are wanted.
    static let firstRetry = Duration.seconds(2)
    static let longestRetry = Duration.seconds(300)

    enum Action: Equatable, Sendable {
        case look
    }

    enum Outcome: Equatable, Sendable {
        /// Nobody has answered, or taken what was to be written.
        case failed
        /// This member announces itself anew.
        case written
        case looked
    }

    private(set) var wake: NetworkInstant?
    private var announces = false
    private var reads = false
    private var isUnderWay = false
    private var isStale = false
    private var retry = firstRetry
    private var check = checkDelay

    /// - Parameters:
    ///   - announces: whether this node is to be met.
    ///   - reads: whether it wants to meet others.
    mutating func set(announces: Bool, reads: Bool, now: NetworkInstant) {
        let isMore = announces && !self.announces || reads && !self.reads
        (self.announces, self.reads) = (announces, reads)
        guard announces || reads else {
            wake = nil
            return
        }
        if isMore { lookSoon(now, after: .zero) }
    }

    mutating func changed(now: NetworkInstant) {
        if announces || reads { lookSoon(now, after: Self.settling) }
    }

    private mutating func lookSoon(_ now: NetworkInstant, after delay: Duration) {
        retry = Self.firstRetry
        if isUnderWay { isStale = true } else { wake = min(wake ?? .distantFuture, now.advanced(by: delay)) }
    }

    mutating func timerFired(now: NetworkInstant) -> [Action] {
        guard let due = wake, due <= now else { return [] }
        wake = nil
        guard announces || reads, !isUnderWay else { return [] }
        isUnderWay = true
        return [.look]
    }

    mutating func ended(_ outcome: Outcome, isLonely: Bool, now: NetworkInstant) {
        isUnderWay = false
        guard announces || reads else { return }
        if isStale {
            isStale = false
            wake = now.advanced(by: Self.settling)
            return
        }
        var wait = announces ? Self.renewal : Self.longestRetry
        if outcome == .written {
            wait = check
            check = min(check * 2, Self.longestRetry)
        } else if outcome == .looked {
            check = Self.checkDelay
        }
        if reads { wait = min(wait, Self.longestRetry) }
        if outcome == .failed || reads && isLonely {
            wait = min(wait, retry)
            retry = min(retry * 2, Self.longestRetry)
        }
        wake = now.advanced(by: wait)
    }
}
