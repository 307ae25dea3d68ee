/// The system floor's limits, each with the desktop value.
public struct ConnectionLimits: Hashable, Sendable {
    /// Watermarks: above `high` connections the least valuable are closed, down to `low`.
    public var low = 100
    public var high = 400
    /// Connections above `high` beyond which a new one is refused.
    public var slack = 100
    /// Connections of strangers at once, when the node is in a realm, beside and above those of others; and of one
    /// subject's, in a realm or not.
    public var strangers = 100
    public var strangersPerSubject = 50
    /// How long a stranger may take to be admitted or to ask for something.
    public var strangerTime = Duration.seconds(10)
    /// Inbound streams of a stranger served at once, and bytes of all of them that may be under way or wait unread.
    public var strangerStreams = 64
    public var strangerWindow: UInt64 = 64 * 1024
    /// Connections open at once with one NodeID: the same identity may run in several processes.
    public var sessionsPerPeer = 8
    /// Inbound streams of one connection served at once.
    public var handlersPerSession = 256
    /// How long a peer may take to say which protocol a stream speaks, or that it speaks the one proposed.
    public var negotiationDeadline = Duration.seconds(10)
    /// How long opening a stream waits for a peer that grants none.
    public var openDeadline = Duration.seconds(10)
    /// How long a stream for members waits for an admission that is under way.
    public var admissionWait = Duration.seconds(5)
    /// How long one connect may take with all its attempts.
    public var connectDeadline = Duration.seconds(15)
    /// How long one address may take.
    public var attemptDeadline = Duration.seconds(8)
    /// How long a name may take to resolve.
    public var resolveDeadline = Duration.seconds(5)
    /// Addresses tried in one connect.
    public var candidates = 16
    /// Connects under way at once.
    public var dials = 64

    public init() {}

    /// The limits of a node with these watermarks: a quarter above `high` as slack, a quarter of `high` for strangers,
    /// half of that for one subject's: many may come back at once from behind one NAT.
    public init(low: Int, high: Int) {
        self.low = low
        self.high = high
        slack = high / 4
        strangers = max(high / 4, 8)
        strangersPerSubject = max(strangers / 2, 4)
    }
}
