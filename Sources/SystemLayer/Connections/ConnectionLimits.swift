/// The system floor's limits, each with the desktop value.
public struct ConnectionLimits: Hashable, Sendable {
    /// Connections open at once, in and out.
    public var sessions = 400
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
}
