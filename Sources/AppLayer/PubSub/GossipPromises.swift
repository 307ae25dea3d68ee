internal import DeP2PIdentity
internal import DeP2PReactor
internal import DequeModule

/// Messages that were asked for, of whom, and who else has them: pure. Who announces a message and doesn't send it broke a
/// promise; who is slow with it is not waited for, unless parts of something long come from him meanwhile.
struct GossipPromises {
    /// Who announced a message too.
    private struct Other {
        let peer: PubSubRouter.PeerKey
        /// Of the mesh: what he announces he announces once.
        let isNear: Bool
    }

    private struct Promise {
        /// Who owes it.
        var peer: PubSubRouter.PeerKey
        var until: NetworkInstant
        var others: [Other] = []
        /// How often it was asked for because it was owed; not at all while it may come unasked.
        var attempts = 0
        /// Who was asked for it, the last one last.
        var asked: [PubSubRouter.PeerKey] = []
        /// How often somebody was waited for who was sending something.
        var waits = 0
        /// Its entry in a row: those that it had before are none any more.
        var turn: UInt64 = 0
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
        let turn: UInt64
        let due: NetworkInstant
    }

    /// What is to be asked for, and of whom.
    struct Request: Equatable {
        let id: PubSubMessage.ID
        let peer: PubSubRouter.PeerKey
    }

    /// Who is connected, and of whom parts of something long have just come.
    struct Company {
        let isHere: (PubSubRouter.PeerKey) -> Bool
        let isSending: (PubSubRouter.PeerKey) -> Bool
    }

    /// As many as a mesh has.
    static let othersLimit = PubSubLimits.mostDegree
    /// Peers that are remembered as late when they are gone.
    static let goneLimit = 1_024
    /// How often one who is sending something is waited for, for one message: it may be anything.
    static let waitsLimit = 12
    /// Where there is no room, shares are of so many parts of eight of it: all promises are looked at to find whose are more,
    /// which must not be done for each id.
    private static let eighthsKept = 7

    private var promises: [PubSubMessage.ID: Promise] = [:]
    private var rows = [Deque<Waiting>](repeating: [], count: Row.allCases.count)
    private var turns: UInt64 = 0
    /// Who did not send in time what he was asked for, when somebody else could be asked, and until when that counts: whoever
    /// else has a message is asked first.
    private var late: [PubSubRouter.PeerKey: NetworkInstant] = [:]
    /// The same of who is not connected any more: to come again makes up for nothing.
    private var lateAndGone: [NodeID: NetworkInstant] = [:]
    /// Of each peer that has promised something, how much.
    private var owed: [PubSubRouter.PeerKey: Int] = [:]
    /// Promises that were looked at to make room.
    private(set) var looks = 0

    var count: Int { promises.count }
    /// Entries that are still to be looked at, those that are none any more included.
    var waitingCount: Int { rows.reduce(0) { $0 + $1.count } }

    /// When ``due(now:among:)`` has something.
    var wake: NetworkInstant? { rows.compactMap { $0.first?.due }.min() }

    // MARK: Peers

    mutating func joined(_ peer: PubSubRouter.PeerKey, _ nodeID: NodeID, now: NetworkInstant) {
        if let until = lateAndGone.removeValue(forKey: nodeID), until > now { late[peer] = until }
    }

    /// Its promises end by and by: nobody is charged with them.
    mutating func left(_ peer: PubSubRouter.PeerKey, _ nodeID: NodeID) {
        guard let until = late.removeValue(forKey: peer), lateAndGone.count < Self.goneLimit else { return }
        lateAndGone[nodeID] = until
    }

    // MARK: Announced

    /// `peer` has announced it.
    ///
    /// - Parameter mayCome: whether it may come unasked, and is given a while; not from one of the mesh.
    /// - Returns: whether it is to be asked for there, now.
    mutating func announced(
        _ id: PubSubMessage.ID, by peer: PubSubRouter.PeerKey, mayCome: Bool = false, now: NetworkInstant
    ) -> Bool {
        let waits = mayCome || isLate(peer, now)
        if promises[id] != nil { return announcedToo(id, Other(peer: peer, isNear: !mayCome), waits: waits, now: now) }
        if promises.count >= PubSubLimits.promises { makeRoom(for: peer) }
        guard promises.count < PubSubLimits.promises else { return false }
        promises[id] = Promise(peer: peer, until: now, others: waits ? [Other(peer: peer, isNear: !mayCome)] : [])
        owed.increment(peer)
        if waits { wait(for: id, .unasked, now: now) } else { ask(id, of: peer, now: now) }
        return !waits
    }

    private mutating func announcedToo(
        _ id: PubSubMessage.ID, _ other: Other, waits: Bool, now: NetworkInstant
    ) -> Bool {
        // Who was asked has had his turn: he takes no other's place by announcing it again.
        guard let promise = promises[id], !promise.asked.contains(other.peer),
            !promise.others.contains(where: { $0.peer == other.peer })
        else { return false }
        if promise.attempts == 0, !waits {
            ask(id, of: other.peer, now: now)
            return true
        }
        if promise.others.count < Self.othersLimit {
            promises[id]?.others.append(other)
        } else if other.isNear, !isLate(other.peer, now),
            let place = promise.others.firstIndex(where: { !$0.isNear || isLate($0.peer, now) })
        {
            promises[id]?.others[place] = other
        }
        return false
    }

    private func isLate(_ peer: PubSubRouter.PeerKey, _ now: NetworkInstant) -> Bool {
        late[peer].map { $0 > now } ?? false
    }

    /// Has `peer` owe it, as of now.
    private mutating func ask(_ id: PubSubMessage.ID, of peer: PubSubRouter.PeerKey, now: NetworkInstant) {
        guard var promise = promises[id] else { return }
        owed.decrement(promise.peer)
        owed.increment(peer)
        promise.peer = peer
        promise.until = now.advanced(by: PubSubLimits.followUp)
        promise.attempts += 1
        promise.others.removeAll { $0.peer == peer }
        promise.asked.removeAll { $0 == peer }
        promise.asked.append(peer)
        promises[id] = promise
        wait(for: id, promise.attempts > 1 ? .askedAgain : .asked, now: now)
    }

    private mutating func wait(for id: PubSubMessage.ID, _ row: Row, now: NetworkInstant) {
        turns &+= 1
        promises[id]?.turn = turns
        rows[row.rawValue].append(Waiting(id: id, turn: turns, due: now.advanced(by: row.delay)))
    }

    // MARK: Due

    /// What has not come, unasked or from whom it was asked of, and whom to ask.
    mutating func due(now: NetworkInstant, among company: Company) -> [Request] {
        var asked: [Request] = []
        for row in Row.allCases {
            while let entry = rows[row.rawValue].first, entry.due <= now {
                rows[row.rawValue].removeFirst()
                guard let promise = promises[entry.id], promise.turn == entry.turn else { continue }
                promises[entry.id]?.others = promise.others.filter { company.isHere($0.peer) }
                let peer =
                    row == .unasked
                    ? askFirst(entry.id, now: now) : askAnother(entry.id, row, among: company, now: now)
                if let peer { asked.append(Request(id: entry.id, peer: peer)) }
            }
        }
        return asked
    }

    private mutating func askFirst(_ id: PubSubMessage.ID, now: NetworkInstant) -> PubSubRouter.PeerKey? {
        guard let peer = promises[id].flatMap({ best(of: $0.others, now) }) else {
            forget(id)
            return nil
        }
        ask(id, of: peer, now: now)
        return peer
    }

    /// Somebody else is asked too; who was asked first owes it still.
    private mutating func askAnother(
        _ id: PubSubMessage.ID, _ row: Row, among company: Company, now: NetworkInstant
    ) -> PubSubRouter.PeerKey? {
        guard let promise = promises[id] else { return nil }
        guard let last = promise.asked.last else { return askFirst(id, now: now) }
        if promise.waits < Self.waitsLimit, company.isHere(last), company.isSending(last) {
            promises[id]?.waits += 1
            wait(for: id, .askedAgain, now: now)
            return nil
        }
        guard let other = best(of: promise.others, now) else {
            wait(for: id, row, now: now)
            return nil
        }
        late[last] = now.advanced(by: PubSubLimits.lateTime)
        promises[id]?.others.removeAll { $0.peer == other }
        promises[id]?.asked.append(other)
        wait(for: id, .askedAgain, now: now)
        return other
    }

    /// Who announced it first, of those who were not late of late; of the mesh before the rest.
    private func best(of others: [Other], _ now: NetworkInstant) -> PubSubRouter.PeerKey? {
        let inTime = others.filter { !isLate($0.peer, now) }
        return (inTime.first { $0.isNear } ?? inTime.first ?? others.first { $0.isNear } ?? others.first)?.peer
    }

    // MARK: Over

    /// - Parameter isLarge: whether that makes up for having been late: something small is cheap.
    mutating func came(_ id: PubSubMessage.ID, from peer: PubSubRouter.PeerKey, isLarge: Bool) {
        guard !promises.isEmpty, let promise = promises[id] else { return }
        if isLarge, promise.asked.contains(peer) { late[peer] = nil }
        forget(id)
    }

    /// It came from `peer` and there was no room for it: it is asked for again, there or of another, when there may be.
    mutating func cameInVain(_ id: PubSubMessage.ID, from peer: PubSubRouter.PeerKey, now: NetworkInstant) {
        guard var promise = promises[id] else { return }
        guard promise.attempts < PubSubLimits.attempts else { return forget(id) }
        promise.asked = []
        promise.others.removeAll { $0.peer == peer }
        promise.others.append(Other(peer: peer, isNear: false))
        promise.until = now.advanced(by: PubSubLimits.followUp)
        promises[id] = promise
        wait(for: id, .askedAgain, now: now)
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

    /// What a heartbeat finds: who broke a promise, and whom to ask instead; where nobody else has it one who was asked before,
    /// for a queue that was full may have taken the message with it. Who is not connected any more has broken nothing.
    mutating func expired(
        now: NetworkInstant, among company: Company
    ) -> (broken: Set<PubSubRouter.PeerKey>, again: [Request]) {
        late = late.filter { $0.value > now }
        lateAndGone = lateAndGone.filter { $0.value > now }
        var (broken, again) = (Set<PubSubRouter.PeerKey>(), [Request]())
        // A dictionary's order is another in every process.
        let over = promises.filter {
            $0.value.attempts > 0 && ($0.value.until <= now || !company.isHere($0.value.peer))
        }
        for (id, promise) in over.sorted(by: { $0.key < $1.key }) {
            let isHere = company.isHere(promise.peer)
            if isHere, promise.waits < Self.waitsLimit, company.isSending(promise.peer) {
                promises[id]?.waits += 1
                promises[id]?.until = now.advanced(by: PubSubLimits.heartbeat)
                continue
            }
            if isHere { broken.insert(promise.peer) }
            promises[id]?.others = promise.others.filter { company.isHere($0.peer) }
            let before = promise.asked.filter { $0 != promise.peer && company.isHere($0) && !isLate($0, now) }
            let next = best(of: promises[id]?.others ?? [], now) ?? before.first ?? promise.peer
            guard company.isHere(next), promise.attempts < PubSubLimits.attempts else {
                forget(id)
                continue
            }
            ask(id, of: next, now: now)
            again.append(Request(id: id, peer: next))
        }
        return (broken, again)
    }
}
