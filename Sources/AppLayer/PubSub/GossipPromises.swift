internal import DeP2PReactor

/// Messages that were asked for, of whom, and who else has them: pure. Who announces a message and doesn't send it broke a
/// promise.
struct GossipPromises {
    private struct Promise {
        var peer: PubSubRouter.PeerKey
        var until: NetworkInstant
        /// Who announced it too.
        var others: [PubSubRouter.PeerKey] = []
        /// How often it was asked for.
        var attempts = 1
    }

    private static let othersLimit = 3

    private var promises: [PubSubMessage.ID: Promise] = [:]

    var count: Int { promises.count }

    /// `peer` has announced it.
    ///
    /// - Returns: whether it is to be asked for there.
    mutating func announced(_ id: PubSubMessage.ID, by peer: PubSubRouter.PeerKey, now: NetworkInstant) -> Bool {
        if let promise = promises[id] {
            if promise.peer != peer, promise.others.count < Self.othersLimit, !promise.others.contains(peer) {
                promises[id]?.others.append(peer)
            }
            return false
        }
        guard promises.count < PubSubLimits.promises else { return false }
        promises[id] = Promise(peer: peer, until: now.advanced(by: PubSubLimits.followUp))
        return true
    }

    mutating func came(_ id: PubSubMessage.ID) {
        if !promises.isEmpty { promises[id] = nil }
    }

    /// What a heartbeat finds: who broke a promise, and whom to ask instead; where nobody else has it the same once more, for
    /// a queue that was full may have taken the message with it.
    ///
    /// - Parameter isHere: whether a peer is still connected; who is not has broken nothing.
    mutating func expired(
        now: NetworkInstant, isHere: (PubSubRouter.PeerKey) -> Bool
    ) -> (broken: Set<PubSubRouter.PeerKey>, again: [(id: PubSubMessage.ID, peer: PubSubRouter.PeerKey)]) {
        var (broken, again) = (Set<PubSubRouter.PeerKey>(), [(id: PubSubMessage.ID, peer: PubSubRouter.PeerKey)]())
        for (id, promise) in promises where promise.until <= now || !isHere(promise.peer) {
            if isHere(promise.peer) { broken.insert(promise.peer) }
            var others = promise.others.filter(isHere)
            let next = others.isEmpty ? promise.peer : others.removeFirst()
            guard isHere(next), promise.attempts < PubSubLimits.attempts else {
                promises[id] = nil
                continue
            }
            promises[id] = Promise(
                peer: next, until: now.advanced(by: PubSubLimits.followUp), others: others,
                attempts: promise.attempts + 1)
            again.append((id, next))
        }
        // A dictionary's order is another in every process.
        again.sort { $0.id < $1.id }
        return (broken, again)
    }
}
