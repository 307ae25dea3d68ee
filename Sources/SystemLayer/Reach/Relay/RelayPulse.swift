internal import DeP2PReactor

/// Whether a relay is still there, and still knows this node: pure.
///
/// One that was restarted has forgotten its clients, and tells only who sends it something (RFC 9000 10.3); one that is gone,
/// or whose path is dead, tells nobody. So it is asked: at once when the frames of circuits are followed by nothing, now and
/// then where a reservation alone stands, and again and again while it owes an answer. States: at rest, asked, silent.
/// Calling order: ``look(_:now:)`` when ``due(_:)`` says so, and at any other time.
struct RelayPulse {
    /// From one question to the next, unless two round trips are longer, and once the relay is silent.
    static let interval = Duration.milliseconds(250)
    static let silentInterval = Duration.milliseconds(500)
    /// So many questions in vain, and so long after the first of them, it is silent; at the least four round trips.
    static let questions = 3
    static let silence = Duration.milliseconds(750)
    /// Frames, since it last answered, that make traffic: more than an idle connection's keep-alives.
    static let traffic: UInt64 = 8

    struct Signs: Equatable {
        /// When anything came from the relay, and when that was a packet of its own connection.
        let heardAt: NetworkInstant
        let answeredAt: NetworkInstant
        /// When the relay last acknowledged something later than all before.
        let acknowledgedAt: NetworkInstant?
        /// Frames that have gone and come.
        let frames: UInt64
        let roundTrip: Duration
        /// After which silence it is asked though nothing is under way; `nil` never.
        let rest: Duration?
    }

    enum Finding: Equatable {
        /// Ask it whether it is there.
        case ask
        /// It does not answer any more; ask it nevertheless.
        case silent
        /// It is there after all.
        case heard
    }

    private struct Question {
        let first: NetworkInstant
        var last: NetworkInstant
        var count: Int
        /// Whether this side may not be heard any more though it hears: what went out another way before still comes back that
        /// way. Only what the relay acknowledges then answers.
        var isDoubt = false

        func isAnswered(_ signs: Signs) -> Bool {
            guard isDoubt else { return signs.heardAt > first }
            // What was under way already is acknowledged within a round trip.
            return signs.acknowledgedAt.map { $0 > first.advanced(by: signs.roundTrip) } ?? false
        }
    }

    private var question: Question?
    private var answeredAt: NetworkInstant?
    private var framesThen: UInt64 = 0
    private var isSilent = false

    /// Whether the relay does not answer any more: what has come since the last look counts.
    func isSilent(_ signs: Signs) -> Bool { isSilent && question?.isAnswered(signs) != true }

    /// When to look again; `nil` when nothing is due before the next frame.
    func due(_ signs: Signs) -> NetworkInstant? {
        let patience = max(Self.interval, signs.roundTrip * 2)
        if let question {
            return question.last.advanced(by: isSilent ? max(patience, Self.silentInterval) : patience)
        }
        if signs.frames &- framesThen >= Self.traffic { return signs.heardAt.advanced(by: patience) }
        return signs.rest.map(signs.heardAt.advanced)
    }

    mutating func look(_ signs: Signs, now: NetworkInstant) -> Finding? {
        if answeredAt != signs.answeredAt { (answeredAt, framesThen) = (signs.answeredAt, signs.frames) }
        if let asked = question, asked.isAnswered(signs) {
            question = nil
            if isSilent {
                isSilent = false
                return .heard
            }
        }
        guard let due = due(signs), due <= now else { return nil }
        var asked = question ?? Question(first: now, last: now, count: 0)
        (asked.last, asked.count) = (now, asked.count + 1)
        question = asked
        let limit = max(Self.silence, signs.roundTrip * 4)
        guard !isSilent, asked.count > Self.questions, now.duration(since: asked.first) >= limit else { return .ask }
        isSilent = true
        return .silent
    }

    /// The path to it may be another now: it is asked at the next look. While it is asked so already nothing begins anew: what
    /// makes doubts comes more often than an answer's time just when the network dies.
    mutating func doubt(now: NetworkInstant) {
        guard question?.isDoubt != true else { return }
        // What was asked before says nothing of the path that is now.
        if !isSilent { question = Question(first: now, last: NetworkInstant(nanoseconds: 0), count: 0) }
        question?.isDoubt = true
    }
}
