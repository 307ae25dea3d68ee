internal import DeP2PIdentity
internal import DeP2PReactor
internal import DequeModule

/// Messages that were asked for, of whom, and who else has them: pure. Who announces a message and doesn't send it broke a
/// promise; who is slow with it is not waited for, unless parts of something long come from him meanwhile. As long as somebody
/// has announced it who was not asked, it is not given up.
struct GossipPromises {
    /// What is done next for a promise, after how long; one row for each, in which what is due first is in front.
    private enum Row: Int, CaseIterable {
        /// It may still come unasked: it is asked for.
        case unasked
        /// It was asked for and has not come: somebody else is asked too.
        case asked
        /// The same, once two were asked; and what came when there was no room.
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

    /// A message that came when there was no room.
    private struct PutOff {
        let id: PubSubMessage.ID
        let peer: PubSubRouter.PeerKey
        let size: Int
        let turn: UInt64
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

    /// How often nobody else is asked for one message because who was asked is sending something: it may be anything.
    static let waitsLimit = 8
    /// How often one who was asked is not charged for the same reason.
    static let chargeLimit = 24
    /// How often what one sent and there was no room for is asked of him again as soon as there is.
    static let vainLimit = PubSubLimits.retransmissions
    /// Messages that were put off which are looked at when there is room.
    private static let putOffLooks = 8
    /// Where there is no room, shares are of so many parts of eight of it: all promises are looked at to find whose are more,
    /// which must not be done for each id.
    private static let eighthsKept = 7

    private var promises: [PubSubMessage.ID: GossipPromise] = [:]
    private var rows = [Deque<Waiting>](repeating: [], count: Row.allCases.count)
    private var turns: UInt64 = 0
    private var putOff = Deque<PutOff>()
    private var late = LatePeers()
    /// Of each peer on whose account promises are, how many.
    private var owed: [PubSubRouter.PeerKey: Int] = [:]
    private var random: RouterRandom
    /// Promises that were looked at to make room.
    private(set) var looks = 0

    init(seed: UInt64 = 0) { random = RouterRandom(seed: seed) }

    var count: Int { promises.count }
    /// Entries that are still to be looked at, those that are none any more included.
    var waitingCount: Int { rows.reduce(putOff.count) { $0 + $1.count } }

    /// When ``due(now:among:)`` has something.
    var wake: NetworkInstant? { rows.compactMap { $0.first?.due }.min() }

    // MARK: Peers

    mutating func joined(_ peer: PubSubRouter.PeerKey, _ nodeID: NodeID, now: NetworkInstant) {
        late.joined(peer, nodeID, now: now)
    }

    /// Who leaves instead of sending what he was asked for is late, and what he was asked for is asked of others.
    mutating func left(
        _ peer: PubSubRouter.PeerKey, _ nodeID: NodeID, among company: Company, now: NetworkInstant
    ) -> [Request] {
        defer { late.left(peer, nodeID) }
        guard owed[peer, default: 0] > 0 else { return [] }
        var asked: [Request] = []
        for id in promises.filter({ $0.value.asked.last?.peer == peer }).keys.sorted() {
            late.note(peer, now: now)
            promises[id]?.keep(company.isHere)
            guard let other = next(id, now: now) else { continue }
            ask(id, of: other, now: now)
            asked.append(Request(id: id, peer: other))
        }
        return asked
    }

    // MARK: Announced

    /// `peer` has announced it.
    ///
    /// - Parameter mayCome: whether it may come unasked, and is given a while; not from one of the mesh.
    /// - Returns: whether it is to be asked for there, now.
    mutating func announced(
        _ id: PubSubMessage.ID, by peer: PubSubRouter.PeerKey, mayCome: Bool = false, now: NetworkInstant
    ) -> Bool {
        let waits = mayCome || late.contains(peer, now: now)
        let isNew = promises[id] == nil
        guard !isNew || begin(id, by: peer), let promise = promises[id] else { return false }
        // Who was asked has had his turn: he takes no other's place by announcing it again.
        guard !promise.knows(peer) else { return false }
        guard waits || !promise.asked.isEmpty else {
            ask(id, of: peer, now: now)
            return true
        }
        promises[id]?.add(.init(peer: peer, isNear: !mayCome)) { [late] in late.contains($0, now: now) }
        if isNew { wait(for: id, .unasked, now: now) }
        return false
    }

    /// - Returns: whether there is room for it.
    private mutating func begin(_ id: PubSubMessage.ID, by peer: PubSubRouter.PeerKey) -> Bool {
        if promises.count >= PubSubLimits.promises { makeRoom(for: peer) }
        guard promises.count < PubSubLimits.promises else { return false }
        promises[id] = GossipPromise(owner: peer)
        owed.increment(peer)
        return true
    }

    private mutating func ask(_ id: PubSubMessage.ID, of peer: PubSubRouter.PeerKey, now: NetworkInstant) {
        guard var promise = promises[id] else { return }
        owed.decrement(promise.owner)
        owed.increment(peer)
        promise.ask(peer, until: now.advanced(by: PubSubLimits.followUp))
        promises[id] = promise
        wait(for: id, promise.asked.count > 1 ? .askedAgain : .asked, now: now)
    }

    private mutating func next(_ id: PubSubMessage.ID, now: NetworkInstant) -> PubSubRouter.PeerKey? {
        promises[id]?.next(isLate: { [late] in late.contains($0, now: now) }, using: &random)
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
                guard promises[entry.id]?.turn == entry.turn else { continue }
                promises[entry.id]?.keep(company.isHere)
                guard let promise = promises[entry.id] else { continue }
                let peer =
                    promise.asked.isEmpty ? next(entry.id, now: now) : another(entry.id, among: company, now: now)
                if let peer {
                    ask(entry.id, of: peer, now: now)
                    asked.append(Request(id: entry.id, peer: peer))
                } else if promise.asked.isEmpty {
                    forget(entry.id)
                }
            }
        }
        return asked
    }

    /// Who else is asked, if it is to be waited no longer for who was asked last; it is looked at again otherwise.
    private mutating func another(
        _ id: PubSubMessage.ID, among company: Company, now: NetworkInstant
    ) -> PubSubRouter.PeerKey? {
        guard let promise = promises[id], let last = promise.asked.last else { return nil }
        let isSending = company.isSending(last.peer) && !late.contains(last.peer, now: now)
        if isSending { promises[id]?.asked[promise.asked.count - 1].waits += 1 }
        guard !isSending || promise.waits >= Self.waitsLimit, let other = next(id, now: now) else {
            if isSending { promises[id]?.waits += 1 }
            wait(for: id, promise.asked.count > 1 || isSending ? .askedAgain : .asked, now: now)
            return nil
        }
        // Where others were waited for instead of him he is not late yet.
        if last.vain == 0, !isSending || last.waits >= Self.waitsLimit { late.note(last.peer, now: now) }
        return other
    }

    // MARK: Over

    mutating func came(_ id: PubSubMessage.ID) {
        if !promises.isEmpty { forget(id) }
    }

    private mutating func forget(_ id: PubSubMessage.ID) {
        if let promise = promises.removeValue(forKey: id) { owed.decrement(promise.owner) }
    }

    /// It came from `peer` and there was no room for it: it is asked for again when there is.
    ///
    /// - Parameter isHisRoom: whether there would be room for another's.
    /// - Returns: of whom it is asked instead, now.
    mutating func cameInVain(
        _ id: PubSubMessage.ID, _ size: Int, from peer: PubSubRouter.PeerKey, isHisRoom: Bool, now: NetworkInstant
    ) -> PubSubRouter.PeerKey? {
        let isNew = promises[id] == nil
        guard !isNew || begin(id, by: peer), let promise = promises[id] else { return nil }
        guard !isNew else {
            // It came unasked, and nobody has announced it.
            promises[id]?.add(.init(peer: peer, isNear: false)) { _ in false }
            putOff(id, size, of: peer)
            wait(for: id, .askedAgain, now: now)
            return nil
        }
        // What nobody was asked for changes nothing.
        guard let index = promise.asked.firstIndex(where: { $0.peer == peer }),
            promise.asked[index].vain < Self.vainLimit
        else { return nil }
        promises[id]?.asked[index].vain += 1
        putOff(id, size, of: peer)
        guard isHisRoom, index == promise.asked.count - 1, let other = next(id, now: now) else { return nil }
        ask(id, of: other, now: now)
        return other
    }

    private mutating func putOff(_ id: PubSubMessage.ID, _ size: Int, of peer: PubSubRouter.PeerKey) {
        guard promises[id]?.putOff == nil else { return }
        turns &+= 1
        promises[id]?.putOff = turns
        putOff.append(PutOff(id: id, peer: peer, size: size, turn: turns))
    }

    /// Whose messages are looked at when there is room.
    var whoIsPutOff: Set<PubSubRouter.PeerKey> { Set(putOff.prefix(Self.putOffLooks).map(\.peer)) }

    /// There is room again.
    ///
    /// - Parameter room: in bytes, for what is that peer's; `nil`: it is gone.
    /// - Returns: what is asked for again: one for each time, for as much may come.
    mutating func roomCame(now: NetworkInstant, _ room: (PubSubRouter.PeerKey) -> Int?) -> Request? {
        for _ in 0..<min(putOff.count, Self.putOffLooks) {
            guard let entry = putOff.popFirst() else { return nil }
            guard promises[entry.id]?.putOff == entry.turn, let room = room(entry.peer) else { continue }
            guard entry.size <= room else {
                putOff.append(entry)
                continue
            }
            promises[entry.id]?.putOff = nil
            ask(entry.id, of: entry.peer, now: now)
            return Request(id: entry.id, peer: entry.peer)
        }
        return nil
    }

    /// Who has promised more than his share is waited for no more for what is beyond it, where one with less announces
    /// something: who announces what he has not keeps nobody else from being asked. First what nobody else has announced.
    private mutating func makeRoom(for peer: PubSubRouter.PeerKey) {
        let peers = owed.count + (owed[peer] == nil ? 1 : 0)
        let share = PubSubLimits.promises / 8 * Self.eighthsKept / peers
        guard owed[peer, default: 0] < share else { return }
        for isShared in [false, true] where promises.count >= PubSubLimits.promises {
            looks += promises.count
            // A dictionary's order is another in every process.
            let few = promises.filter {
                owed[$0.value.owner, default: 0] > share && $0.value.others.isEmpty != isShared
            }
            for (id, promise) in few.sorted(by: { $0.key < $1.key }) where owed[promise.owner, default: 0] > share {
                forget(id)
            }
        }
    }

    /// What a heartbeat finds: who broke a promise, and whom to ask instead; where nobody else has it one who was asked before,
    /// for a queue that was full may have taken the message with it. Who is not connected any more has broken nothing.
    mutating func expired(
        now: NetworkInstant, among company: Company
    ) -> (broken: Set<PubSubRouter.PeerKey>, again: [Request]) {
        late.heartbeat(now: now)
        putOff.removeAll { [promises] in promises[$0.id]?.putOff != $0.turn || !company.isHere($0.peer) }
        var (broken, again) = (Set<PubSubRouter.PeerKey>(), [Request]())
        let over = promises.filter { entry in
            entry.value.asked.contains { $0.until <= now || !company.isHere($0.peer) }
        }
        for id in over.keys.sorted() {
            promises[id]?.keep(company.isHere)
            broken.formUnion(charge(id, among: company, now: now))
            guard let promise = promises[id], promise.asked.allSatisfy({ $0.until <= now || $0.waits > 0 }) else {
                continue
            }
            let over = promise.asked.filter { $0.until <= now }
            // Who goes on sending something is waited for, and keeps nobody else from being asked again.
            guard !over.isEmpty || promise.asked.isEmpty else { continue }
            var peer = next(id, now: now)
            if peer == nil, promise.rounds < PubSubLimits.attempts - 1 {
                promises[id]?.rounds += 1
                peer = (over.first { !late.contains($0.peer, now: now) } ?? over.first)?.peer
            }
            guard let peer else {
                forget(id)
                continue
            }
            ask(id, of: peer, now: now)
            again.append(Request(id: id, peer: peer))
        }
        return (broken, again)
    }

    /// Who was asked and has let his time pass.
    private mutating func charge(
        _ id: PubSubMessage.ID, among company: Company, now: NetworkInstant
    ) -> [PubSubRouter.PeerKey] {
        var broken: [PubSubRouter.PeerKey] = []
        for (index, entry) in (promises[id]?.asked ?? []).enumerated()
        where entry.until <= now && entry.vain == 0 && !entry.isCharged {
            if entry.waits < Self.chargeLimit, company.isSending(entry.peer) {
                promises[id]?.asked[index].waits += 1
                promises[id]?.asked[index].until = now.advanced(by: PubSubLimits.heartbeat)
            } else {
                promises[id]?.asked[index].isCharged = true
                broken.append(entry.peer)
            }
        }
        return broken
    }
}
