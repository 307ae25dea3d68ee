internal import DeP2PIdentity
internal import DeP2PReactor

/// Peers that did not send in time what they were asked for, when somebody else could be asked: pure. For a while whoever else
/// has a message is asked first, and they are not waited for; what they send meanwhile changes nothing, for it costs little.
struct LatePeers {
    /// Peers that are remembered when they are gone.
    static let goneLimit = 1_024

    private var here: [PubSubRouter.PeerKey: NetworkInstant] = [:]
    /// Of those who are not connected any more: to come again makes up for nothing.
    private var gone: [NodeID: NetworkInstant] = [:]

    func contains(_ peer: PubSubRouter.PeerKey, now: NetworkInstant) -> Bool { here[peer].map { $0 > now } ?? false }

    mutating func note(_ peer: PubSubRouter.PeerKey, now: NetworkInstant) {
        here[peer] = now.advanced(by: PubSubLimits.lateTime)
    }

    mutating func joined(_ peer: PubSubRouter.PeerKey, _ nodeID: NodeID, now: NetworkInstant) {
        if let until = gone.removeValue(forKey: nodeID), until > now { here[peer] = until }
    }

    mutating func left(_ peer: PubSubRouter.PeerKey, _ nodeID: NodeID) {
        guard let until = here.removeValue(forKey: peer), gone.count < Self.goneLimit else { return }
        gone[nodeID] = until
    }

    mutating func heartbeat(now: NetworkInstant) {
        here = here.filter { $0.value > now }
        gone = gone.filter { $0.value > now }
    }
}
