internal import DeP2PReactor
internal import DequeModule

/// Messages that are not passed on yet, to peers that seem to get them from their author too, and large ones, which go to one
/// peer after the other: pure.
///
/// In three rows, each with a delay of its own: what comes first to a row is due first.
struct DeferredMessages {
    struct Entry {
        let due: NetworkInstant
        /// When it is passed on, whatever its peers show of others.
        let last: NetworkInstant
        let message: PubSubMessage
        let peers: [PubSubRouter.PeerKey]
        /// Whether its peers have proven that they get that author's messages.
        let isProven: Bool

        var delay: Duration { isProven ? PubSubLimits.provenForwardDelay : PubSubLimits.forwardDelay }
    }

    /// A large message, and who gets it, the next first.
    struct Staggered {
        let due: NetworkInstant
        let message: PubSubMessage
        let peers: [PubSubRouter.PeerKey]
    }

    private var proven = Deque<Entry>()
    private var others = Deque<Entry>()
    private var staggered = Deque<Staggered>()

    var count: Int { proven.count + others.count }
    var staggeredCount: Int { staggered.count }

    var wake: NetworkInstant? { [others.first?.due, proven.first?.due, staggered.first?.due].compactMap(\.self).min() }

    /// - Parameter last: when it is passed on at the latest; `nil` counts from now.
    mutating func append(
        _ message: PubSubMessage, to peers: [PubSubRouter.PeerKey], isProven: Bool, last: NetworkInstant? = nil,
        now: NetworkInstant
    ) {
        guard !peers.isEmpty else { return }
        let delay = isProven ? PubSubLimits.provenForwardDelay : PubSubLimits.forwardDelay
        let entry = Entry(
            due: now.advanced(by: delay), last: last ?? now.advanced(by: PubSubLimits.longestForwardDelay),
            message: message, peers: peers, isProven: isProven)
        if isProven { proven.append(entry) } else { others.append(entry) }
    }

    mutating func popDue(at now: NetworkInstant) -> Entry? {
        if let first = others.first, first.due <= now { return others.popFirst() }
        if let first = proven.first, first.due <= now { return proven.popFirst() }
        return nil
    }

    mutating func stagger(_ message: PubSubMessage, to peers: [PubSubRouter.PeerKey], now: NetworkInstant) {
        guard !peers.isEmpty else { return }
        let due = now.advanced(by: PubSubLimits.staggerDelay)
        staggered.append(Staggered(due: due, message: message, peers: peers))
    }

    mutating func popStaggered(at now: NetworkInstant) -> Staggered? {
        if let first = staggered.first, first.due <= now { return staggered.popFirst() }
        return nil
    }
}
