internal import DeP2PIdentity
internal import DeP2PReactor
internal import DeP2PSessions

/// Which of the transfers that arrive are received now, and which wait: pure.
///
/// A transfer holds a *place* while it moves bytes. One that moves hardly any for a while (an idle pipe, a sender that
/// only says that it is at work) is *parked* when somebody else waits: it goes on, and its place goes to the next. No
/// sender has more than its share of the places, nor all senders of one ``Subject``; of those who wait comes first whose
/// subject has the least, then whose subject's last turn was longest ago, and among those of one subject likewise by
/// sender: so one member cannot keep the others out, whatever number of identities it has.
///
/// A transfer that has a place may still lack descriptors, which those hold that are parked too: it is *starving* until it
/// has them, and the long idle end for it as they do where nothing can be parked.
///
/// Calling order for each transfer: ``arrive(_:from:at:)``, any number of ``moved(_:by:)`` and
/// ``setStarving(_:_:at:)``, ``leave(_:)``; and ``review(at:)`` now and then.
struct TransferQueue {
    typealias ID = UInt64

    enum OnArrive: Equatable {
        case start
        case wait
        case refuse(LimitExceeded)
    }

    struct Changes: Equatable {
        /// Have a place now.
        var started: [ID] = []
        /// Have moved nothing for very long while others wait and there is nowhere to park: to be ended.
        var ended: [ID] = []
    }

    private struct Running {
        let sender: Sender
        var isParked = false
        var isStarving = false
        /// Bytes since the last review that found it moving, and when that was.
        var moved: UInt64 = 0
        var reviewedAt: NetworkInstant
    }

    private let limits: TransferQueueLimits
    private var running: [ID: Running] = [:]
    private var waiting: [(id: ID, sender: Sender)] = []
    /// When each sender, and each subject, of those that are here had its last turn, as a number that grows.
    private var turns: [NodeID: UInt64] = [:]
    private var subjectTurns: [Subject: UInt64] = [:]
    private var lastTurn: UInt64 = 0

    init(_ limits: TransferQueueLimits) {
        self.limits = limits
    }

    var runningCount: Int { running.count }
    var waitingCount: Int { waiting.count }
    /// Whether somebody would have what another has: then ``review(at:)`` is due now and then.
    var isContended: Bool { !waiting.isEmpty || isStarved }
    private var isStarved: Bool { running.values.contains { $0.isStarving } }

    // MARK: Events

    mutating func arrive(_ id: ID, from sender: Sender, at now: NetworkInstant) -> OnArrive {
        if waiting.isEmpty, hasPlace(for: sender) {
            run(id, of: sender, at: now)
            return .start
        }
        guard waiting.count < limits.waiting else {
            return .refuse(LimitExceeded(name: "waiting transfers", value: waiting.count, limit: limits.waiting))
        }
        let own = waiting.count { $0.sender.nodeID == sender.nodeID }
        guard own < limits.waitingPerSender else {
            return .refuse(
                LimitExceeded(name: "waiting transfers of one sender", value: own, limit: limits.waitingPerSender))
        }
        let nearby = waiting.count { $0.sender.subject == sender.subject }
        guard nearby < limits.waitingPerSubject else {
            return .refuse(
                LimitExceeded(
                    name: "waiting transfers of one address", value: nearby, limit: limits.waitingPerSubject))
        }
        waiting.append((id, sender))
        // Others may wait for a share that this sender has left.
        return start(at: now).contains(id) ? .start : .wait
    }

    /// Bytes of the transfer have arrived.
    mutating func moved(_ id: ID, by bytes: UInt64) {
        guard let before = running[id]?.moved else { return }
        running[id]?.moved = before.addingReportingOverflow(bytes).overflow ? .max : before + bytes
    }

    /// The transfer waits for descriptors, or has them.
    mutating func setStarving(_ id: ID, _ isStarving: Bool, at now: NetworkInstant) {
        running[id]?.isStarving = isStarving
        running[id]?.reviewedAt = now
    }

    mutating func leave(_ id: ID, at now: NetworkInstant) -> Changes {
        let sender = running.removeValue(forKey: id)?.sender ?? waiting.first(where: { $0.id == id })?.sender
        waiting.removeAll { $0.id == id }
        if let sender { forgetTurns(of: sender) }
        return Changes(started: start(at: now))
    }

    /// Parks what hardly moves while others wait.
    mutating func review(at now: NetworkInstant) -> Changes {
        var changes = Changes()
        let isStarved = isStarved
        for id in running.keys.sorted() {
            guard var transfer = running[id], !transfer.isStarving else { continue }
            if transfer.moved >= limits.leastBytes {
                (transfer.moved, transfer.reviewedAt, transfer.isParked) = (0, now, false)
            } else if isContended {
                let idle = now.duration(since: transfer.reviewedAt)
                if !waiting.isEmpty, !transfer.isParked, idle >= limits.patience, parkedCount < limits.parked {
                    transfer.isParked = true
                } else if idle >= limits.longPatience, !transfer.isParked || parkedCount >= limits.parked || isStarved {
                    changes.ended.append(id)
                }
            }
            running[id] = transfer
        }
        changes.started = start(at: now)
        return changes
    }

    // MARK: Places

    private var parkedCount: Int { running.values.count { $0.isParked } }

    /// Transfers of one group: how many have a place, and how many are here.
    private func counts(_ isOfGroup: (Sender) -> Bool) -> (places: Int, running: Int) {
        let own = running.values.filter { isOfGroup($0.sender) }
        return (own.count { !$0.isParked }, own.count)
    }

    private func counts(of node: NodeID) -> (places: Int, running: Int) { counts { $0.nodeID == node } }

    private func counts(of subject: Subject) -> (places: Int, running: Int) { counts { $0.subject == subject } }

    private func hasPlace(for sender: Sender) -> Bool {
        guard running.count - parkedCount < limits.places else { return false }
        let (own, nearby) = (counts(of: sender.nodeID), counts(of: sender.subject))
        return own.places < limits.placesPerSender && own.running < limits.placesPerSender + limits.parkedPerSender
            && nearby.places < limits.placesPerSubject
            && nearby.running < limits.placesPerSubject + limits.parkedPerSubject
    }

    private mutating func run(_ id: ID, of sender: Sender, at now: NetworkInstant) {
        lastTurn += 1
        turns[sender.nodeID] = lastTurn
        subjectTurns[sender.subject] = lastTurn
        running[id] = Running(sender: sender, reviewedAt: now)
    }

    /// Nothing is kept of who has nothing here.
    private mutating func forgetTurns(of sender: Sender) {
        let here = running.values.map(\.sender) + waiting.map(\.sender)
        if !here.contains(where: { $0.nodeID == sender.nodeID }) { turns[sender.nodeID] = nil }
        if !here.contains(where: { $0.subject == sender.subject }) { subjectTurns[sender.subject] = nil }
    }

    /// Gives free places to those who wait, in the order that the type tells; the last word has the order of arrival.
    private mutating func start(at now: NetworkInstant) -> [ID] {
        var started: [ID] = []
        while true {
            let candidates = waiting.indices.filter { hasPlace(for: waiting[$0].sender) }
            func rank(_ index: Int) -> (Int, UInt64, Int, UInt64) {
                let sender = waiting[index].sender
                return (
                    counts(of: sender.subject).places, subjectTurns[sender.subject, default: 0],
                    counts(of: sender.nodeID).places, turns[sender.nodeID, default: 0]
                )
            }
            guard let next = candidates.min(by: { rank($0) < rank($1) }) else { return started }
            let (id, sender) = waiting.remove(at: next)
            run(id, of: sender, at: now)
            started.append(id)
        }
    }
}

/// How many transfers a node receives at once.
package struct TransferQueueLimits: Hashable, Sendable {
    /// Transfers that move bytes at once.
    package var places: Int
    /// Of those, of one sender, and of all senders of one address.
    package var placesPerSender: Int
    package var placesPerSubject: Int
    /// Transfers that hardly move any, beside those.
    package var parked: Int
    package var parkedPerSender: Int
    package var parkedPerSubject: Int
    /// Transfers that wait for a place, those of one sender, and those of all senders of one address.
    package var waiting = 256
    package var waitingPerSender = 128
    package var waitingPerSubject = 192
    /// A transfer that moves less than ``leastBytes`` in this time is parked when others wait.
    package var patience = Duration.seconds(30)
    package var leastBytes: UInt64 = 64 * 1024
    /// One that moves less in this time ends when others wait and nothing more can be parked.
    package var longPatience = Duration.seconds(600)

    /// - Parameter places: transfers at once; a sender may have half of them, an address three quarters.
    package init(places: Int) {
        self.places = max(places, 1)
        placesPerSender = max(self.places / 2, 1)
        placesPerSubject = max(self.places / 4 * 3, placesPerSender)
        parked = 4 * self.places
        parkedPerSender = self.places
        parkedPerSubject = 2 * self.places
    }

    /// One after another: the output has room for one.
    package static let oneAtATime: Self = {
        var limits = Self(places: 1)
        (limits.parked, limits.parkedPerSender, limits.parkedPerSubject) = (0, 0, 0)
        return limits
    }()
}
