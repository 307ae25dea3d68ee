internal import DeP2PReactor
internal import DequeModule

/// Messages that were asked for, of whom, and who else has them: pure. Who announces a message and doesn't send it broke a
/// promise; who is slow with it is not waited for.
struct GossipPromises {
    private struct Promise {
        var peer: PubSubRouter.PeerKey
        var until: NetworkInstant
        /// Who announced it too.
        var others: [PubSubRouter.PeerKey] = []
        /// How often it was asked for; not at all while it may come unasked.
        var attempts = 1
    }

    /// What is done next for a promise, after how long; one row for each, in which what is due first is in front.
    private enum Row: Int, CaseIterable {
        /// It may still come unasked: it is asked for.
        case unasked
        /// It was asked for and has not come: somebody else is asked too.
        case asked
        /// The same, once two were asked.
        case askedAgain

        var delay: Duration {
            switch self {
            case .unasked: PubSubLimits.requestDelay
            case .asked: PubSubLimits.hedgeDelay
            case .askedAgain: PubSubLimits.laterHedgeDelay
            }
        }
    }

    private struct Waiting {
        let id: PubSubMessage.ID
        let due: NetworkInstant
    }

    /// What is to be asked for, and of whom.
    struct Request: Equatable {
        let id: PubSubMessage.ID
        let peer: PubSubRouter.PeerKey
    }

    private static let othersLimit = 8
    /// Where there is no room, shares are of so many parts of eight of it: all promises are looked at to find whose are more,
    /// which must not be done for each id.
    private static let eighthsKept = 7

    private var promises: [PubSubMessage.ID: Promise] = [:]
    private var rows = [Deque<Waiting>](repeating: [], count: Row.allCases.count)
    /// Who was asked last for something that did not come in time, and others were asked for: whoever else has a message is asked
    /// first.
    private var late: Set<PubSubRouter.PeerKey> = []
    /// Of each peer that has promised something, how much.
    private var owed: [PubSubRouter.PeerKey: Int] = [:]
    /// Promises that were looked at to make room.
    private(set) var looks = 0

    var count: Int { promises.count }

    /// When ``due(now:isHere:)`` has something.
    var wake: NetworkInstant? { rows.compactMap { $0.first?.due }.min() }

    /// `peer` has announced it.
    ///
    /// - Parameter mayCome: whether it may come unasked: it is given a while.
    /// - Returns: whether it is to be asked for there, now.
    mutating func announced(
        _ id: PubSubMessage.ID, by peer: PubSubRouter.PeerKey, mayCome: Bool = false, now: NetworkInstant
    ) -> Bool {
        let waits = mayCome || late.contains(peer)
        if let promise = promises[id] {
            guard promise.peer != peer, !promise.others.contains(peer) else { return false }
            if promise.attempts == 0, !waits {
                promises[id]?.others.insert(promise.peer, at: 0)
                ask(id, of: peer, .asked, now: now)
                return true
            }
            if promise.others.count < Self.othersLimit { promises[id]?.others.append(peer) }
            return false
        }
        if promises.count >= PubSubLimits.promises { makeRoom(for: peer) }
        guard promises.count < PubSubLimits.promises else { return false }
        promises[id] = Promise(peer: peer, until: now.advanced(by: PubSubLimits.followUp), attempts: waits ? 0 : 1)
        owed.increment(peer)
        wait(for: id, waits ? .unasked : .asked, now: now)
        return !waits
    }

    private mutating func wait(for id: PubSubMessage.ID, _ row: Row, now: NetworkInstant) {
        rows[row.rawValue].append(Waiting(id: id, due: now.advanced(by: row.delay)))
    }

    /// Has `peer` owe it, as of now.
    private mutating func ask(_ id: PubSubMessage.ID, of peer: PubSubRouter.PeerKey, _ row: Row, now: NetworkInstant) {
        guard let promise = promises[id] else { return }
        owed.decrement(promise.peer)
        owed.increment(peer)
        promises[id] = Promise(
            peer: peer, until: now.advanced(by: PubSubLimits.followUp), others: promise.others.filter { $0 != peer })
        wait(for: id, row, now: now)
    }

    /// What has not come, unasked or from whom it was asked of, and whom to ask: who announced it first, of those who are still
    /// connected and were not late of late.
    mutating func due(now: NetworkInstant, isHere: (PubSubRouter.PeerKey) -> Bool) -> [Request] {
        var asked: [Request] = []
        for row in Row.allCases {
            while let entry = rows[row.rawValue].first, entry.due <= now {
                rows[row.rawValue].removeFirst()
                guard let promise = promises[entry.id], (promise.attempts == 0) == (row == .unasked) else { continue }
                let others = promise.others.filter(isHere)
                promises[entry.id]?.others = others
                let peer =
                    row == .unasked
                    ? first(of: [promise.peer].filter(isHere) + others) : askAnother(entry.id, others, row, now: now)
                guard let peer else {
                    if row == .unasked { forget(entry.id) }
                    continue
                }
                if row == .unasked { ask(entry.id, of: peer, .asked, now: now) }
                asked.append(Request(id: entry.id, peer: peer))
            }
        }
        return asked
    }

    /// Somebody else is asked too; who was asked first owes it still.
    private mutating func askAnother(
        _ id: PubSubMessage.ID, _ others: [PubSubRouter.PeerKey], _ row: Row, now: NetworkInstant
    ) -> PubSubRouter.PeerKey? {
        guard let other = first(of: others), let promise = promises[id] else {
            wait(for: id, row, now: now)
            return nil
        }
        late.insert(promise.peer)
        promises[id]?.others = others.filter { $0 != other }
        wait(for: id, .askedAgain, now: now)
        return other
    }

    private func first(of peers: [PubSubRouter.PeerKey]) -> PubSubRouter.PeerKey? {
        peers.first { !late.contains($0) } ?? peers.first
    }

    mutating func came(_ id: PubSubMessage.ID, from peer: PubSubRouter.PeerKey) {
        guard !promises.isEmpty, let promise = promises[id] else { return }
        if promise.peer == peer, promise.attempts > 0 { late.remove(peer) }
        forget(id)
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
        late = late.filter(isHere)
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
