/// The system floor's limits, each with the desktop value.
package struct ConnectionLimits: Hashable, Sendable {
    /// Watermarks: above `high` connections the least valuable are closed, down to `low`.
    package var low = 100
    package var high = 400
    /// Connections above `high` beyond which a new one is refused.
    package var slack = 100
    /// Connections of strangers at once, when the node is in a realm, beside and above those of others; and of one
    /// subject's, in a realm or not.
    package var strangers = 100
    package var strangersPerSubject = 50
    /// How long a stranger may take to be admitted or to ask for something.
    package var strangerTime = Duration.seconds(10)
    /// Inbound streams of a stranger served at once, and bytes of all of them that may be under way or wait unread.
    package var strangerStreams = 64
    package var strangerWindow: UInt64 = 64 * 1024
    /// Connections open at once with one NodeID: the same identity may run in several processes.
    package var sessionsPerPeer = 8
    /// Inbound streams of one connection served at once.
    package var handlersPerSession = 256
    /// How long a peer may take to say which protocol a stream speaks, or that it speaks the one proposed.
    package var negotiationDeadline = Duration.seconds(10)
    /// How long opening a stream waits for a peer that grants none.
    package var openDeadline = Duration.seconds(10)
    /// How long a stream for members waits for an admission that is under way.
    package var admissionWait = Duration.seconds(5)
    /// How long one connect may take with all its attempts.
    package var connectDeadline = Duration.seconds(15)
    /// How long one address may take.
    package var attemptDeadline = Duration.seconds(8)
    /// How long a name may take to resolve.
    package var resolveDeadline = Duration.seconds(5)
    /// Addresses tried in one connect.
    package var candidates = 16
    /// Connects under way at once.
    package var dials = 64

    package init() {}

    /// As many connections as there can be.
    package var mostSessions: Int { high + slack + strangers }

    /// The limits of a node with these watermarks: a quarter above `high` as slack, a quarter of `high` for strangers,
    /// half of that for one subject's: many may come back at once from behind one NAT.
    package init(low: Int, high: Int) {
        self.low = low
        self.high = high
        slack = high / 4
        strangers = max(high / 4, 8)
        strangersPerSubject = max(strangers / 2, 4)
    }
}
