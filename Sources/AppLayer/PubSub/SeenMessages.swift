internal import DeP2PReactor

/// What is known of messages by their ids: for at least one period, for at most two, and of so many at most; pure.
struct SeenMessages {
    /// Who has a message, and from whom it came.
    struct Holder: Equatable {
        let peer: PubSubRouter.PeerKey
        var hasSent: Bool
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
        var holders: [Holder] = []
        /// Who gets it once it is verified.
        var wanted: [PubSubRouter.PeerKey] = []

        mutating func held(by peer: PubSubRouter.PeerKey, sent: Bool = false) {
            if let index = holders.firstIndex(where: { $0.peer == peer }) {
                if sent { holders[index].hasSent = true }
            } else if message != nil {
                holders.append(Holder(peer: peer, hasSent: sent))
            }
        }

        func isHeld(by peer: PubSubRouter.PeerKey) -> Bool { holders.contains { $0.peer == peer } }
    }

    private var young: [PubSubMessage.ID: Record] = [:]
    private var old: [PubSubMessage.ID: Record] = [:]
    private var turn: NetworkInstant
    private let limit: Int

    init(now: NetworkInstant, limit: Int = PubSubLimits.seenCount) {
        turn = now.advanced(by: PubSubLimits.seenTime)
        self.limit = limit
    }

    var count: Int { young.count + old.count }

    func contains(_ id: PubSubMessage.ID) -> Bool { young[id] != nil || old[id] != nil }

    subscript(id: PubSubMessage.ID) -> Record? { young[id] ?? old[id] }

    /// Notes a message that is new.
    mutating func insert(_ id: PubSubMessage.ID, _ record: Record) {
        if young.count >= limit { rotate() }
        young[id] = record
    }

    /// Changes what is known of a message, without a copy; `nil` where nothing is known.
    mutating func update<Value>(_ id: PubSubMessage.ID, _ change: (inout Record) -> Value) -> Value? {
        if young[id] != nil { return change(&young[id, default: Record(state: .rejected)]) }
        if old[id] != nil { return change(&old[id, default: Record(state: .rejected)]) }
        return nil
    }

    /// The message is no longer kept; that it was seen still is.
    mutating func forgetContent(_ id: PubSubMessage.ID) {
        _ = update(id) { record in
            record.message = nil
            (record.holders, record.wanted) = ([], [])
        }
    }

    mutating func timerFired(now: NetworkInstant) {
        guard now >= turn else { return }
        rotate()
        turn = now.advanced(by: PubSubLimits.seenTime)
    }

    private mutating func rotate() {
        old = young
        young = [:]
    }
}
