internal import DeP2PIdentity
internal import DeP2PReactor

/// Peers whose connection was lost, and since when they lack what came: pure. Who said goodbye is not expected.
struct ReturningPeers {
    /// Peers that are remembered; who was lost first goes first.
    static let limit = 256
    /// What was sent in this time before the loss was noticed may not have arrived.
    static let slack = Duration.seconds(15)

    private struct Absence {
        var topics: Set<Topic>
        let since: NetworkInstant
    }

    private var absent: [NodeID: Absence] = [:]

    var count: Int { absent.count }

    mutating func left(_ peer: NodeID, _ topics: Set<Topic>, now: NetworkInstant) {
        guard !topics.isEmpty else { return }
        if absent.count >= Self.limit,
            let first = absent.min(by: { ($0.value.since, $0.key) < ($1.value.since, $1.key) })
        {
            absent[first.key] = nil
        }
        absent[peer] = Absence(topics: topics, since: now)
    }

    /// The peer is subscribed to `topic` again.
    ///
    /// - Returns: since when it may lack messages; `nil` for one that was not missed.
    mutating func back(_ peer: NodeID, _ topic: Topic) -> NetworkInstant? {
        guard absent[peer]?.topics.remove(topic) != nil, let since = absent[peer]?.since else { return nil }
        if absent[peer]?.topics.isEmpty ?? false { absent[peer] = nil }
        return NetworkInstant(
            nanoseconds: since.nanoseconds - min(since.nanoseconds, Self.slack.clampedNanoseconds))
    }

    mutating func heartbeat(now: NetworkInstant) {
        guard !absent.isEmpty else { return }
        absent = absent.filter { now.duration(since: $0.value.since) < PubSubLimits.historyTime }
    }
}
