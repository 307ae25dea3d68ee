internal import DeP2PIdentity
internal import DeP2PReactor

/// One topic as the router knows it: who is subscribed, and who of them is in the mesh.
///
/// Its lists are short, and in the order in which peers came, so that two runs of one seed choose alike.
struct MeshTopic {
    /// Whether this node is subscribed.
    var isSubscribed = false
    /// Whether the application judges its messages.
    var isJudged = false
    /// Peers that are.
    var listeners: [PubSubRouter.PeerKey] = []
    /// Those that this node and they give every message.
    var mesh: [PubSubRouter.PeerKey] = []
    /// Those that get what this node publishes without being subscribed, until then.
    var fanout: [PubSubRouter.PeerKey] = []
    var fanoutUntil: NetworkInstant?
    /// Until when no GRAFT passes between this node and others.
    private(set) var backoffs: [NodeID: NetworkInstant] = [:]

    /// Up to D_hi members all are in the mesh.
    var isSmall: Bool { listeners.count <= PubSubLimits.mostDegree }

    /// Nothing is known of it any more.
    var isUnused: Bool { !isSubscribed && listeners.isEmpty && backoffs.isEmpty }

    mutating func forget(_ peer: PubSubRouter.PeerKey) {
        listeners.removeAll { $0 == peer }
        mesh.removeAll { $0 == peer }
        fanout.removeAll { $0 == peer }
    }

    // MARK: Backoff

    func backoff(of peer: NodeID, now: NetworkInstant) -> NetworkInstant? {
        backoffs[peer].flatMap { $0 > now ? $0 : nil }
    }

    mutating func back(off peer: NodeID, for duration: Duration, now: NetworkInstant) {
        let until = now.advanced(by: min(duration, PubSubLimits.longestBackoff))
        if backoffs[peer] == nil, backoffs.count >= PubSubLimits.backoffs,
            let first = backoffs.min(by: { ($0.value, $0.key) < ($1.value, $1.key) })
        {
            backoffs[first.key] = nil
        }
        backoffs[peer] = max(until, backoffs[peer] ?? until)
    }

    /// Ends those that are over; a little later than they are, for the other side may have begun to count later.
    mutating func endBackoffs(now: NetworkInstant) {
        guard !backoffs.isEmpty else { return }
        backoffs = backoffs.filter { $0.value.advanced(by: PubSubLimits.backoffSlack) > now }
    }
}

/// Draws numbers from a seed (SplitMix64), so that the router is a value that replays.
struct RouterRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
        return mixed ^ mixed >> 31
    }
}
