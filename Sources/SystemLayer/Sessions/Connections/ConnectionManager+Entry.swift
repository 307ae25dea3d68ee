internal import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReactor

/// What is known of a session, and what comes of one more.
extension ConnectionManager {
    struct Entry: Equatable {
        let id: UInt64
        let nodeID: NodeID
        var subject: Subject
        /// Whether this node dialled.
        let isInitiator: Bool
        /// Whether it was dialled to ask something, and nobody wants its node.
        var isErrand: Bool
        /// Whether it was an errand, and its peer alone goes on using it: a stranger, though this node dialled.
        var isTurned = false
        /// Since when it counts as what it is.
        var since: NetworkInstant
        var lastUse: NetworkInstant
        var isAdmitted = false
        /// Whether it has asked for something that is offered to strangers.
        var hasUsed = false
        /// What the node does for it that lasts: reservations, circuits.
        var commitments = 0

        init(
            id: UInt64, nodeID: NodeID, subject: Subject, isInitiator: Bool, isErrand: Bool = false,
            now: NetworkInstant
        ) {
            (self.id, self.nodeID, self.subject, self.isInitiator) = (id, nodeID, subject, isInitiator)
            self.isErrand = isErrand
            (since, lastUse) = (now, now)
        }
    }

    /// A session that is to be closed, and why.
    struct Closing: Equatable {
        let id: UInt64
        let reason: String
        var code = CloseCode.limit
    }

    enum OnOpen: Equatable {
        /// Taken; these make room.
        case opened(closing: [Closing])
        case refused(LimitExceeded)
    }
}
