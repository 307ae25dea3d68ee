internal import DeP2PIdentity
internal import DeP2PReactor

/// What is known of messages by their ids: for at least one period, for at most two, and of so many at most; pure.
///
/// Of those that are no longer kept only that they were seen, in a quarter of the memory: so it soon needs as much as it ever
/// will.
struct SeenMessages {
    /// Who has a message, and from whom it came.
    struct Holder: Equatable {
        let peer: PubSubRouter.PeerKey
        var hasSent: Bool
        /// Whether it has announced it, which promises to give it.
        var hasOffered = false
    }

    enum State: Equatable {
        /// It waits for its signature to be verified, and nobody is told or given anything.
        case unverified
        /// It came from its author itself, whom the connection proves: delivered, but not passed on before it is verified.
        case fromAuthor
        case verified
        /// Its signature is wrong.
        case rejected
    }

    struct Record {
        /// `nil` once it is no longer kept.
        var message: PubSubMessage?
        var state: State
        var isVerifying = false
        /// Whether the application is still to say what it thinks of it: until then nobody gets it.
        var isJudging = false
        var holders: [Holder] = []
        /// Who gets it once it is verified.
        var wanted: [PubSubRouter.PeerKey] = []
        /// Who is told of it once it is verified.
        var untold: [PubSubRouter.PeerKey] = []

        mutating func held(by peer: PubSubRouter.PeerKey, sent: Bool = false, offered: Bool = false) {
            if let index = holders.firstIndex(where: { $0.peer == peer }) {
                if sent { holders[index].hasSent = true }
                if offered { holders[index].hasOffered = true }
            } else if message != nil {
                holders.append(Holder(peer: peer, hasSent: sent, hasOffered: offered))
            }
        }

        func isHeld(by peer: PubSubRouter.PeerKey) -> Bool { holders.contains { $0.peer == peer } }
    }

    private var young: [PubSubMessage.ID: Record] = [:]
    private var old: [PubSubMessage.ID: Record] = [:]
    /// Ids of those that are no longer kept, hashed under this process's own seed: nobody can look for two that are alike.
    private var youngPast: Set<Int> = []
    private var oldPast: Set<Int> = []
    private var turn: NetworkInstant
    private let limit: Int

    init(now: NetworkInstant, limit: Int = PubSubLimits.seenCount) {
        turn = now.advanced(by: PubSubLimits.seenTime)
        self.limit = limit
    }

    var count: Int { young.count + old.count + youngPast.count + oldPast.count }

    subscript(id: PubSubMessage.ID) -> Record? { young[id] ?? old[id] }

    /// Whether it was seen, and is no longer kept.
    func isPast(_ id: PubSubMessage.ID) -> Bool {
        guard !youngPast.isEmpty || !oldPast.isEmpty else { return false }
        let hash = id.hashValue
        return youngPast.contains(hash) || oldPast.contains(hash)
    }

    /// Notes a message that is new.
    mutating func insert(_ id: PubSubMessage.ID, _ record: Record) {
        if young.count >= limit { turnYoung() }
        young[id] = record
    }

    /// Changes what is known of a message, without a copy; `nil` where nothing is known but, perhaps, that it is past.
    mutating func update<Value>(_ id: PubSubMessage.ID, _ change: (inout Record) -> Value) -> Value? {
        if young[id] != nil { return change(&young[id, default: Record(state: .rejected)]) }
        if old[id] != nil { return change(&old[id, default: Record(state: .rejected)]) }
        return nil
    }

    /// It is as if it had never come.
    mutating func forget(_ id: PubSubMessage.ID) {
        if young.removeValue(forKey: id) == nil { old[id] = nil }
    }

    /// The message is no longer kept; that it was seen still is, and of a forged one that it was.
    mutating func forgetContent(_ id: PubSubMessage.ID) {
        let isForged = update(id) { record in
            record.message = nil
            (record.holders, record.wanted, record.untold) = ([], [], [])
            return record.state == .rejected
        }
        guard isForged == false else { return }
        if young.removeValue(forKey: id) == nil { old[id] = nil }
        if youngPast.count >= limit { turnPast() }
        youngPast.insert(id.hashValue)
    }

    mutating func timerFired(now: NetworkInstant) {
        guard now >= turn else { return }
        turnYoung()
        turnPast()
        turn = now.advanced(by: PubSubLimits.seenTime)
    }

    // What the period before last has needed is needed again: made anew, it would pass through all its sizes beside the other,
    // period after period. What a burst has left is let go.

    private mutating func turnYoung() {
        swap(&old, &young)
        young.removeAll(keepingCapacity: young.count >= young.capacity / 4)
    }

    private mutating func turnPast() {
        swap(&oldPast, &youngPast)
        youngPast.removeAll(keepingCapacity: youngPast.count >= youngPast.capacity / 4)
    }
}
