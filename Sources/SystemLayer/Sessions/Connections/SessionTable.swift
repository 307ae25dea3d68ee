internal import DeP2PIdentity
internal import DeP2PReactor

/// Which sessions a node has, and which of several with one node is used: pure.
///
/// Two nodes that dial each other at once get two connections; both ends keep the one that the smaller NodeID dialled
/// and retire the other, which stays for the streams it has. Any further connection is a second process under the same
/// identity, or a peer that lost the first one: it is taken, up to the limit for one node, and the newest is used for new streams.
struct SessionTable {
    /// Connections of opposite directions that open within this time were dialled at once.
    static let simultaneousWindow = Duration.seconds(5)

    struct Entry: Equatable {
        let id: UInt64
        let nodeID: NodeID
        let isInitiator: Bool
        let openedAt: NetworkInstant
        var isRetired = false
    }

    enum OnOpen: Equatable {
        /// Taken; these sessions (the new one may be among them) get no new streams.
        case opened(retired: [UInt64])
        case refused(LimitExceeded)
    }

    private let localNodeID: NodeID
    private let limits: ConnectionLimits
    private var entries: [UInt64: Entry] = [:]
    private var byNode: [NodeID: [UInt64]] = [:]

    init(localNodeID: NodeID, limits: ConnectionLimits) {
        self.localNodeID = localNodeID
        self.limits = limits
    }

    var count: Int { entries.count }

    mutating func open(_ entry: Entry) -> OnOpen {
        if let limit = refusal(of: entry.nodeID) { return .refused(limit) }
        let siblings = byNode[entry.nodeID] ?? []
        entries[entry.id] = entry
        byNode[entry.nodeID, default: []].append(entry.id)
        let rival = siblings.compactMap { entries[$0] }.last { rival in
            !rival.isRetired && rival.isInitiator != entry.isInitiator
                && entry.openedAt.duration(since: rival.openedAt) < Self.simultaneousWindow
        }
        guard let rival else { return .opened(retired: []) }
        let loser = isKept(entry) ? rival.id : entry.id
        entries[loser]?.isRetired = true
        return .opened(retired: [loser])
    }

    /// The limit that keeps another session with the node out.
    func refusal(of nodeID: NodeID) -> LimitExceeded? {
        let count = byNode[nodeID]?.count ?? 0
        guard count >= limits.sessionsPerPeer else { return nil }
        return LimitExceeded(name: "connections with one node", value: count, limit: limits.sessionsPerPeer)
    }

    /// Whether the rule of the smaller NodeID keeps this one of two dialled at once.
    private func isKept(_ entry: Entry) -> Bool {
        entry.isInitiator == (localNodeID < entry.nodeID)
    }

    mutating func close(_ id: UInt64) {
        guard let entry = entries.removeValue(forKey: id) else { return }
        let rest = (byNode[entry.nodeID] ?? []).filter { $0 != id }
        byNode[entry.nodeID] = rest.isEmpty ? nil : rest
    }

    /// The session for new streams with `nodeID`: the newest that is not retired, else the newest.
    func preferred(_ nodeID: NodeID) -> UInt64? {
        let ids = byNode[nodeID] ?? []
        return ids.last { entries[$0]?.isRetired == false } ?? ids.last
    }

    func all(with nodeID: NodeID) -> [UInt64] { byNode[nodeID] ?? [] }
}
