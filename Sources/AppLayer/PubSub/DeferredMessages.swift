internal import DeP2PReactor
internal import DequeModule

/// Messages that are not passed on yet, to peers that seem to get them from their author too: pure.
///
/// In two rows, each with a delay of its own: what comes first to a row is due first.
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

    private var proven = Deque<Entry>()
    private var others = Deque<Entry>()

    var count: Int { proven.count + others.count }
    private(set) var bytes = 0

    /// Whether there is room for one more.
    func takes(_ message: PubSubMessage) -> Bool {
        count < PubSubLimits.deferredCount && bytes + message.encoded.count <= PubSubLimits.deferredBytes
    }

    var wake: NetworkInstant? { [others.first?.due, proven.first?.due].compactMap(\.self).min() }

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
        bytes += message.encoded.count
        if isProven { proven.append(entry) } else { others.append(entry) }
    }

    mutating func popDue(at now: NetworkInstant) -> Entry? {
        guard let entry = others.popFirst(dueAt: now) ?? proven.popFirst(dueAt: now) else { return nil }
        bytes -= entry.message.encoded.count
        return entry
    }
}

extension Deque<DeferredMessages.Entry> {
    fileprivate mutating func popFirst(dueAt now: NetworkInstant) -> Element? {
        first.flatMap { $0.due <= now ? popFirst() : nil }
    }
}
