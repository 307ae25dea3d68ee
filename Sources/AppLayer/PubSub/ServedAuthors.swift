internal import DeP2PIdentity
internal import DeP2PReactor

/// Who gets an author's messages some other way than from this node, as far as that showed: pure.
///
/// In a small realm everybody is connected with everybody, and an author gives each its message itself. Who has told
/// (IDONTWANT), or shown by sending it, that it had one before this node would have passed it on, is given time to show it
/// again with the next, and more while it shows it of earlier ones: an author's stream keeps their order, and it is further
/// behind. Who lets that time pass, or shows later ones, gets it, and is given no time with those that follow.
struct ServedAuthors {
    private struct Served {
        let peer: PubSubRouter.PeerKey
        var shownAt: NetworkInstant
        /// The last of the author's messages that it has.
        var topic: Topic
        var sequence: UInt64
        /// How often it has shown that.
        var shows = 1

        mutating func show(_ message: PubSubMessage, now: NetworkInstant) {
            shownAt = now
            shows = min(shows + 1, PubSubLimits.provenShows)
            sequence = topic == message.topic ? max(sequence, message.sequence) : message.sequence
            topic = message.topic
        }
    }

    private var served: [NodeID: [Served]] = [:]

    var count: Int { served.count }

    /// The peer has that message.
    mutating func shows(_ message: PubSubMessage, _ peer: PubSubRouter.PeerKey, now: NetworkInstant) {
        let author = message.author
        if let index = served[author]?.firstIndex(where: { $0.peer == peer }) {
            served[author]?[index].show(message, now: now)
            return
        }
        // Learned anew from the next messages.
        if served[author] == nil, served.count >= PubSubLimits.servedAuthors { served.removeAll() }
        served[author, default: []].append(
            Served(peer: peer, shownAt: now, topic: message.topic, sequence: message.sequence))
    }

    mutating func doesNotServe(_ author: NodeID, _ peer: PubSubRouter.PeerKey) {
        served[author]?.removeAll { $0.peer == peer }
    }

    enum Standing { case unknown, served, proven }

    func standing(of peer: PubSubRouter.PeerKey, with author: NodeID) -> Standing {
        guard let entry = served[author]?.first(where: { $0.peer == peer }) else { return .unknown }
        return entry.shows >= PubSubLimits.provenShows ? .proven : .served
    }

    /// Whether it has shown messages since `time`, and none that is behind this one.
    func isBehind(_ peer: PubSubRouter.PeerKey, _ message: PubSubMessage, since time: NetworkInstant) -> Bool {
        served[message.author]?.contains { served in
            served.peer == peer && served.shownAt > time && served.topic == message.topic
                && served.sequence < message.sequence
        } ?? false
    }

    mutating func forget(author: NodeID) { served[author] = nil }

    mutating func forget(_ peer: PubSubRouter.PeerKey) {
        for author in served.keys { doesNotServe(author, peer) }
        served = served.filter { !$0.value.isEmpty }
    }
}
