package import DeP2PIdentity
package import DeP2PReactor
internal import DeP2PSessions

/// Another node that proved the realm key to this one.
package struct Member: Hashable, Sendable {
    package enum State: Hashable, Sendable {
        /// An admitted connection stands.
        case online
        /// None stands any more: why.
        case offline(OfflineReason)
    }

    package enum OfflineReason: String, Sendable {
        /// It said that it stops.
        case goodbye
        /// Nothing was heard of it any more.
        case timeout
        /// This side closed the connection.
        case closed
    }

    package let nodeID: NodeID
    package internal(set) var state: State
    /// When the state began.
    package internal(set) var since: NetworkInstant
}

/// The realm's members as this node knows them from connections of its own: pure.
struct Members {
    /// Members remembered; those offline for longest go first.
    static let limit = 10_000

    private(set) var all: [NodeID: Member] = [:]
    /// The admitted sessions of each member that is online.
    private var sessions: [NodeID: Set<UInt64>] = [:]

    /// - Returns: the member when its state changed.
    mutating func opened(_ session: UInt64, of nodeID: NodeID, now: NetworkInstant) -> Member? {
        sessions[nodeID, default: []].insert(session)
        guard all[nodeID]?.state != .online else { return nil }
        if all[nodeID] == nil { makeRoom() }
        let member = Member(nodeID: nodeID, state: .online, since: now)
        all[nodeID] = member
        return member
    }

    /// - Returns: the member when its state changed; a member that left the realm is forgotten.
    mutating func closed(_ session: UInt64, of nodeID: NodeID, end: SessionEnd, now: NetworkInstant) -> MemberChange? {
        guard sessions[nodeID]?.remove(session) != nil else { return nil }
        if end.cause == .closedByPeer(.leftRealm) {
            sessions[nodeID] = nil
            all[nodeID] = nil
            return .left(nodeID)
        }
        guard sessions[nodeID]?.isEmpty == true else { return nil }
        sessions[nodeID] = nil
        let member = Member(nodeID: nodeID, state: .offline(Self.reason(end)), since: now)
        all[nodeID] = member
        return .changed(member)
    }

    mutating func forgetAll() { self = Members() }

    private static func reason(_ end: SessionEnd) -> Member.OfflineReason {
        switch end.cause {
        case .closedByPeer: .goodbye
        case .closedLocally: .closed
        case .timeout, .transport: .timeout
        }
    }

    private mutating func makeRoom() {
        guard all.count >= Self.limit else { return }
        let offline = all.values.filter { $0.state != .online }
        if let oldest = offline.min(by: { $0.since < $1.since }) { all[oldest.nodeID] = nil }
    }
}

/// What changed about a member.
package enum MemberChange: Hashable, Sendable {
    case changed(Member)
    /// It left the realm.
    case left(NodeID)
}
