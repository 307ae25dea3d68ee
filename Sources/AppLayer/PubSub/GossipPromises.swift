internal import DeP2PReactor
internal import DequeModule

/// Messages that were asked for, of whom, and who else has them: pure. Who announces a message and doesn't send it broke a
/// promise.
struct GossipPromises {
    private struct Promise {
        var peer: PubSubRouter.PeerKey
        var until: NetworkInstant
        /// Who announced it too.
        var others: [PubSubRouter.PeerKey] = []
        /// How often it was asked for; not at all while it may come unasked.
        var attempts = 1
    }

    private struct Waiting {
        let id: PubSubMessage.ID
        let topic: Topic?
        let due: NetworkInstant
    }

    /// What is to be asked for, and of whom; the topic that it was announced in.
    struct Request {
        let id: PubSubMessage.ID
        let topic: Topic?
        let peer: PubSubRouter.PeerKey
    }

    private static let othersLimit = 3
    /// Where there is no room, shares are of so many parts of eight of it: all promises are looked at to find whose are more,
    /// which must not be done for each id.
    private static let eighthsKept = 7

    private var promises: [PubSubMessage.ID: Promise] = [:]
    /// What is not asked for yet, what is due first in front: each waits for as long.
    private var waiting = Deque<Waiting>()
    /// Of each peer that has promised something, how much.
    private var owed: [PubSubRouter.PeerKey: Int] = [:]
    /// Promises that were looked at to make room.
    private(set) var looks = 0

    var count: Int { promises.count }

    /// When ``due(now:isHere:)`` has something.
    var wake: NetworkInstant? { waiting.first?.due }

    /// `peer` has announced it.
    ///
    /// - Parameters:
    ///   - topic: what a later ``Request`` tells.
    ///   - delay: how long it may come unasked: zero, or always as long.
    /// - Returns: whether it is to be asked for there, now.
    mutating func announced(
        _ id: PubSubMessage.ID, by peer: PubSubRouter.PeerKey, in topic: Topic? = nil, after delay: Duration = .zero,
        now: NetworkInstant
    ) -> Bool {
        if let promise = promises[id] {
            if promise.peer != peer, promise.others.count < Self.othersLimit, !promise.others.contains(peer) {
                promises[id]?.others.append(peer)
            }
            return false
        }
        if promises.count >= PubSubLimits.promises { makeRoom(for: peer) }
        guard promises.count < PubSubLimits.promises else { return false }
        promises[id] = Promise(peer: peer, until: now.advanced(by: PubSubLimits.followUp))
        owed.increment(peer)
        guard delay > .zero else { return true }
        promises[id]?.attempts = 0
        waiting.append(Waiting(id: id, topic: topic, due: now.advanced(by: delay)))
        return false
    }

    /// What has not come unasked, and whom to ask: who announced it first, of those who are still connected.
    mutating func due(now: NetworkInstant, isHere: (PubSubRouter.PeerKey) -> Bool) -> [Request] {
        var asked: [Request] = []
        while let first = waiting.first, first.due <= now {
            waiting.removeFirst()
            guard let promise = promises[first.id], promise.attempts == 0 else { continue }
            let others = promise.others.filter(isHere)
            guard let peer = isHere(promise.peer) ? promise.peer : others.first else {
                forget(first.id)
                continue
            }
            owed.decrement(promise.peer)
            owed.increment(peer)
            promises[first.id] = Promise(
                peer: peer, until: now.advanced(by: PubSubLimits.followUp), others: others.filter { $0 != peer })
            asked.append(Request(id: first.id, topic: first.topic, peer: peer))
        }
        return asked
    }

    mutating func came(_ id: PubSubMessage.ID) {
        if !promises.isEmpty { forget(id) }
    }

    private mutating func forget(_ id: PubSubMessage.ID) {
        if let promise = promises.removeValue(forKey: id) { owed.decrement(promise.peer) }
    }

    /// Who has promised more than his share is waited for no more for what is beyond it, where one with less announces
    /// something: who announces what he has not keeps nobody else from being asked.
    private mutating func makeRoom(for peer: PubSubRouter.PeerKey) {
        let peers = owed.count + (owed[peer] == nil ? 1 : 0)
        let share = PubSubLimits.promises / 8 * Self.eighthsKept / peers
        guard owed[peer, default: 0] < share else { return }
        looks += promises.count
        for (id, promise) in promises where owed[promise.peer, default: 0] > share { forget(id) }
    }

    /// What a heartbeat finds: who broke a promise, and whom to ask instead; where nobody else has it the same once more, for
    /// a queue that was full may have taken the message with it.
    ///
    /// - Parameter isHere: whether a peer is still connected; who is not has broken nothing.
    mutating func expired(
        now: NetworkInstant, isHere: (PubSubRouter.PeerKey) -> Bool
    ) -> (broken: Set<PubSubRouter.PeerKey>, again: [(id: PubSubMessage.ID, peer: PubSubRouter.PeerKey)]) {
        var (broken, again) = (Set<PubSubRouter.PeerKey>(), [(id: PubSubMessage.ID, peer: PubSubRouter.PeerKey)]())
        for (id, promise) in promises where promise.attempts > 0 && (promise.until <= now || !isHere(promise.peer)) {
            if isHere(promise.peer) { broken.insert(promise.peer) }
            var others = promise.others.filter(isHere)
            let next = others.isEmpty ? promise.peer : others.removeFirst()
            guard isHere(next), promise.attempts < PubSubLimits.attempts else {
                forget(id)
                continue
            }
            owed.decrement(promise.peer)
            owed.increment(next)
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
