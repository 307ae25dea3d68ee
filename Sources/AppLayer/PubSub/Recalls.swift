internal import DeP2PReactor

/// What peers that were gone are still to be told of: pure. In pages, a heartbeat apart, each as much as its reader looks at
/// and can ask for.
struct Recalls {
    private struct Recall {
        let peer: PubSubRouter.PeerKey
        let topic: Topic
        var next: MessageCache.Position
        let end: MessageCache.Position
    }

    struct Page {
        let peer: PubSubRouter.PeerKey
        let topic: Topic
        let ids: [PubSubMessage.ID]
    }

    private var recalls: [Recall] = []
    /// Peers that were told a page since the last heartbeat.
    private var told: Set<PubSubRouter.PeerKey> = []

    var count: Int { recalls.count }

    /// The peer lacks messages of `topic` since `time`.
    ///
    /// - Returns: the first of them, unless it was told of others just now.
    mutating func begin(
        _ topic: Topic, since time: NetworkInstant, for peer: PubSubRouter.PeerKey, in cache: MessageCache
    ) -> Page? {
        var start = cache.position(since: time)
        // One for each topic that a peer is subscribed to.
        if let index = recalls.firstIndex(where: { $0.peer == peer && $0.topic == topic }) {
            start = min(start, recalls.remove(at: index).next)
        }
        recalls.append(Recall(peer: peer, topic: topic, next: start, end: cache.end))
        return told.contains(peer) ? nil : page(at: recalls.count - 1, in: cache)
    }

    /// What each peer is told in this heartbeat.
    mutating func heartbeat(in cache: MessageCache) -> [Page] {
        guard !recalls.isEmpty || !told.isEmpty else { return [] }
        let before = told
        told = []
        var (pages, index) = ([Page](), 0)
        while index < recalls.count {
            let (peer, count) = (recalls[index].peer, recalls.count)
            if !before.contains(peer), !told.contains(peer), let page = page(at: index, in: cache) {
                pages.append(page)
            }
            // What is over has gone from its place.
            if recalls.count == count { index += 1 }
        }
        return pages
    }

    private mutating func page(at index: Int, in cache: MessageCache) -> Page? {
        let recall = recalls[index]
        let (ids, next) = cache.page(
            recall.topic, from: recall.next, to: recall.end, ids: PubSubLimits.recalledIDs,
            bytes: PubSubLimits.recalledBytes)
        if let next { recalls[index].next = next } else { recalls.remove(at: index) }
        guard !ids.isEmpty else { return nil }
        told.insert(recall.peer)
        return Page(peer: recall.peer, topic: recall.topic, ids: ids)
    }

    mutating func forget(_ peer: PubSubRouter.PeerKey) {
        recalls.removeAll { $0.peer == peer }
        told.remove(peer)
    }
}
