public import DeP2PIdentity
public import DeP2PQUIC

/// Whether another node is there, as this one knows it from connections of its own. A node that is never connected with is
/// not known at all.
public struct PeerPresence: Hashable, Sendable, CustomStringConvertible {
    public enum State: String, Hashable, Sendable, CaseIterable {
        /// A connection stands, and the node was heard on it within the time of a heartbeat.
        case online
        /// It may be gone, or about to be: ``PeerPresence/reason`` says what is wrong. Within seconds it is one of the others.
        case unstable
        /// No connection stands any more, or nothing comes over those that do.
        case offline
    }

    public enum Reason: String, Hashable, Sendable, CaseIterable {
        // Unstable.

        /// A heartbeat is missing.
        case silent
        /// The way to it is lost, and another is looked for.
        case pathLost = "path_lost"
        /// It came or went three times within a minute.
        case flapping
        /// This machine stood still, and the connection did not survive that: it has a while to come back.
        case resumed

        // Offline.

        /// It said that it stops.
        case goodbye
        /// It said that it left the realm.
        case leftRealm = "left_realm"
        /// It is done with the connection.
        case closed
        /// It has as many connections as it wants.
        case limit
        /// It does not want this node.
        case notAllowed = "not_allowed"
        /// Nothing was heard of it for too long.
        case timeout
        /// The connection failed, or its way did, and nothing has taken its place.
        case lost
        /// This side closed the connection.
        case closedHere = "closed_here"
        /// This node watches as many as it can, and left this one out for a member.
        case unwatched
    }

    public let nodeID: NodeID
    public let state: State
    /// How its packets travel; `nil` while there is no connection.
    public let path: ConnectionPath.Kind?
    /// Why it is not online.
    public let reason: Reason?
    /// Whether it has proven the realm key to this node.
    public let isMember: Bool

    package init(_ nodeID: NodeID, _ state: State, path: ConnectionPath.Kind?, reason: Reason?, isMember: Bool) {
        (self.nodeID, self.state, self.path, self.reason, self.isMember) = (nodeID, state, path, reason, isMember)
    }

    public var description: String {
        [
            "\(nodeID) \(state.rawValue)", path.map { "over \($0)" }, reason.map { "(\($0.rawValue))" },
            isMember ? "member" : nil,
        ].compactMap(\.self).joined(separator: " ")
    }
}

extension PeerPresence.Reason {
    /// How a session's end is told. ``CloseCode`` has what each code means.
    init(_ end: SessionEnd) {
        switch end.cause {
        case .timeout: self = .timeout
        case .transport: self = .lost
        case .closedByPeer(.relayEnded), .closedLocally(.relayEnded): self = .lost
        case .closedLocally: self = .closedHere
        case .closedByPeer(.goodbye): self = .goodbye
        case .closedByPeer(.leftRealm): self = .leftRealm
        case .closedByPeer(.limit): self = .limit
        case .closedByPeer(.notAllowed): self = .notAllowed
        case .closedByPeer: self = .closed
        }
    }

    /// Whether nobody has said that this is the end: the node may come back by another connection.
    var isUnspoken: Bool { self == .timeout || self == .lost }
}
