internal import DeP2PReactor

/// Whether a connection gets on, on whatever path: pure.
///
/// A relay that was killed says nothing, and a path may go on to pass small packets while it drops large ones. The
/// keep-alives of both ends see to it that something comes in time; what has been sent is acknowledged sooner.
struct ProgressWatch {
    /// From one look to the next.
    static let interval = Duration.milliseconds(500)
    /// The same, where nothing is under way and no relay is left for as long.
    static let idleInterval = Duration.milliseconds(1_500)
    /// Looks in a row at which something was under way and nothing had been acknowledged.
    static let unansweredLooks = 6
    /// Such looks, when nothing at all came meanwhile; at the least four round trips.
    static let silentLooks = 3
    /// Beyond the keep-alive.
    static let margin = Duration.milliseconds(1_500)

    /// What QUIC's counters say at a look.
    struct Counters: Equatable {
        let bytesReceived: UInt64
        /// How often something was acknowledged, and whether something still waits for it.
        let acknowledgements: UInt64
        let hasUnacknowledged: Bool
        /// Mostly another one with every acknowledgement, also of what is no stream's.
        let latestRTT: Duration
    }

    enum Finding: Equatable {
        /// Something was acknowledged: the path works in both directions.
        case acknowledged
        /// Something came.
        case heard
        case quiet
        /// What was sent is not acknowledged.
        case stalled
        /// Nothing comes.
        case silent
    }

    /// Whether nothing that was under way at the last look had been acknowledged since the one before, and for longer than an
    /// answer takes.
    var isUnanswered: Bool { unanswered > 0 && Self.interval * unanswered > last.latestRTT }

    private let keepAlive: Duration
    private var last: Counters
    private var heardAt: NetworkInstant
    private var unanswered = 0
    private(set) var nextLook: NetworkInstant

    /// - Parameter heardAt: when something last came; `nil` gives the path its time from now on.
    init(keepAlive: Duration, _ counters: Counters, heardAt: NetworkInstant? = nil, now: NetworkInstant) {
        self.keepAlive = keepAlive
        last = counters
        self.heardAt = heardAt ?? now
        nextLook = now.advanced(by: Self.interval)
    }

    /// Begins anew, on another path.
    mutating func reset(_ counters: Counters, now: NetworkInstant) {
        self = Self(keepAlive: keepAlive, counters, now: now)
    }

    /// - Parameter isPatient: whether a while longer may pass until the next look, when nothing is under way.
    mutating func look(_ counters: Counters, isPatient: Bool = false, now: NetworkInstant) -> Finding {
        defer { last = counters }
        let isIdle = isPatient && !counters.hasUnacknowledged
        nextLook = now.advanced(by: isIdle ? Self.idleInterval : Self.interval)
        if counters.bytesReceived != last.bytesReceived { heardAt = now }
        guard counters.latestRTT == last.latestRTT, counters.acknowledgements == last.acknowledgements else {
            unanswered = 0
            return .acknowledged
        }
        unanswered = counters.hasUnacknowledged ? unanswered + 1 : 0
        if unanswered >= Self.unansweredLooks { return .stalled }
        let silence = now.duration(since: heardAt)
        if silence >= keepAlive + Self.margin { return .silent }
        let limit = max(Self.interval * Self.silentLooks, counters.latestRTT * 4)
        if unanswered >= Self.silentLooks, silence >= limit { return .silent }
        return heardAt == now ? .heard : .quiet
    }
}
