import DeP2P

/// Tells which nodes are online, and which members of the realm are connected.
@NetworkActor
final class PeerReport {
    /// What is known of a node with which there is a session.
    private struct Peer {
        /// The sessions, and which of them are admitted.
        var sessions: [UInt64: Bool] = [:]

        var isMember: Bool { sessions.values.contains(true) }
    }

    private let output: Output
    private weak var node: Node?
    /// As many as there are sessions, which the preset bounds.
    private var peers: [NodeID: Peer] = [:]
    /// Called when there are more or fewer members.
    var onMembers: @NetworkActor (Int) -> Void = { _ in }

    var members: Int { peers.values.count(where: \.isMember) }

    init(of node: Node, _ output: Output, _ events: EventReader) {
        self.node = node
        self.output = output
        events.observe { [self] event in
            switch event {
            case .peer(let presence): output.report(presence)
            case .session(let subject, let change): take(change, of: subject)
            case .dropped: forgetEnded()
            default: break
            }
        }
    }

    private func take(_ change: NodeEvent.SessionChange, of subject: NodeEvent.SessionSubject) {
        let nodeID = subject.nodeID
        switch change {
        case .opened: peers[nodeID, default: Peer()].sessions[subject.id] = false
        case .moved: break
        case .admitted: admit(subject)
        case .ended(let end): depart(subject, end)
        }
    }

    private func admit(_ subject: NodeEvent.SessionSubject) {
        guard let peer = peers[subject.nodeID], peer.sessions[subject.id] != nil else { return }
        peers[subject.nodeID]?.sessions[subject.id] = true
        guard !peer.isMember else { return }
        sayMember(subject.nodeID, "joined")
        output.note("\(subject.nodeID) is here")
    }

    private func depart(_ subject: NodeEvent.SessionSubject, _ end: SessionEnd) {
        guard let before = peers[subject.nodeID] else { return }
        peers[subject.nodeID]?.sessions[subject.id] = nil
        if before.isMember, peers[subject.nodeID]?.isMember != true {
            sayMember(subject.nodeID, "left")
            output.note("\(subject.nodeID) is gone: \(TerminalText.escape("\(end)"))")
        }
        if peers[subject.nodeID]?.sessions.isEmpty ?? false { peers[subject.nodeID] = nil }
    }

    /// Events were left out, ends of sessions perhaps among them.
    private func forgetEnded() {
        for (nodeID, peer) in peers {
            for session in peer.sessions.keys where node?.connections.session(id: session) == nil {
                peers[nodeID]?.sessions[session] = nil
            }
            if peers[nodeID]?.sessions.isEmpty ?? false { peers[nodeID] = nil }
        }
        onMembers(members)
    }

    private func sayMember(_ nodeID: NodeID, _ state: String) {
        output.event("member", [.string("node_id", "\(nodeID)"), .string("state", state)])
        onMembers(members)
    }
}
