import DeP2P

/// Tells which nodes come and go, and which of them are members of the realm.
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
            case .session(let subject, let change): take(change, of: subject)
            case .dropped: forgetEnded()
            default: break
            }
        }
    }

    private func take(_ change: NodeEvent.SessionChange, of subject: NodeEvent.SessionSubject) {
        let nodeID = subject.nodeID
        switch change {
        case .opened(let path):
            let isNew = peers[nodeID] == nil
            peers[nodeID, default: Peer()].sessions[subject.id] = false
            if isNew { say(nodeID, "online", path: path) }
        case .moved(let path): say(nodeID, "online", path: path)
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
        let reason = "\(end)"
        if before.isMember, peers[subject.nodeID]?.isMember != true {
            sayMember(subject.nodeID, "left")
            output.note("\(subject.nodeID) is gone: \(TerminalText.escape(reason))")
        }
        guard peers[subject.nodeID]?.sessions.isEmpty ?? false else { return }
        peers[subject.nodeID] = nil
        say(subject.nodeID, "offline", path: nil, reason: reason)
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

    private func say(_ nodeID: NodeID, _ state: String, path: ConnectionPath?, reason: String? = nil) {
        output.event(
            "peer",
            [
                .string("node_id", "\(nodeID)"), .string("state", state), .string("path", path?.description),
                .string("reason", reason),
            ])
        let text = path.map { "over \($0)" } ?? reason ?? ""
        output.detail("\(nodeID) \(state) \(TerminalText.escape(text))")
    }

    private func sayMember(_ nodeID: NodeID, _ state: String) {
        output.event("member", [.string("node_id", "\(nodeID)"), .string("state", state)])
        onMembers(members)
    }
}
