import DeP2P

extension Output {
    /// Says from now on which nodes are online, for who asked for it: with `-v`.
    @NetworkActor
    func reportPresence(_ events: EventReader) {
        guard style.verbosity > 0 else { return }
        events.observe { [self] event in
            if case .peer(let presence) = event { report(presence) }
        }
    }

    func report(_ presence: PeerPresence) {
        event("peer", presence.fields)
        detail(presence.text)
    }
}

extension PeerPresence {
    /// `path` is `null` while there is no connection, `reason` while the node is online.
    var fields: [JSONField] {
        [
            .string("node_id", nodeID.description), .string("state", state.rawValue),
            .string("path", path?.description), .string("reason", reason?.rawValue), .bool("member", isMember),
        ]
    }

    var text: String {
        "\(nodeID) is \(state.rawValue)" + (path.map { " over \($0)" } ?? "") + (reason.map { ": \($0.words)" } ?? "")
    }
}

extension PeerPresence.Reason {
    fileprivate var words: String {
        switch self {
        case .silent: "a heartbeat is missing"
        case .pathLost: "its path is lost, and another is looked for"
        case .flapping: "it comes and goes"
        case .resumed: "this machine stood still, and the connection is gone"
        case .goodbye: "it said goodbye"
        case .leftRealm: "it left the realm"
        case .closed: "it closed the connection"
        case .limit: "it has as many connections as it takes"
        case .notAllowed: "it does not want this node"
        case .timeout: "nothing is heard of it any more"
        case .lost: "the connection is lost"
        case .closedHere: "this node closed the connection"
        case .unwatched: "this node watches as many as it can"
        }
    }
}

extension CommandEntry.Term {
    private static let meaning =
        "A node has come, gone or become doubtful, or is reached another way: `node_id`, `state` (`online`, `unstable` or "
        + "`offline`), `path` as for `dep2p send` (`null` while there is none), `reason` when it is not online (`silent`, "
        + "`path_lost`, `flapping`, `resumed`; `goodbye`, `left_realm`, `closed`, `limit`, `not_allowed`, `timeout`, `lost`, "
        + "`closed_here`, `unwatched`), and `member`, whether it has proven the realm key."

    /// What is told of it; and where it does so with `-v` only.
    static let peer = Self("peer", meaning)
    static let peerWhenVerbose = Self("peer", "With `-v`. " + meaning)
}
