internal import DeP2PIdentity
internal import DeP2PReach
internal import DeP2PSessions

/// What failed last, the newest last: pure.
struct FailureLog: Sendable {
    static let limit = 32
    /// Bytes of a reason, which may be a peer's words.
    static let reasonLimit = 300

    struct Failure: Equatable, Sendable {
        /// Milliseconds since 1970.
        let at: UInt64
        /// One word.
        let what: String
        let peer: NodeID?
        let reason: String
    }

    private(set) var failures: [Failure] = []
    /// All that there have been.
    private(set) var count: UInt64 = 0

    mutating func note(_ event: NodeEvent, at time: UInt64) {
        guard let (what, peer, reason) = Self.failure(event) else { return }
        count += 1
        failures.append(
            Failure(at: time, what: what, peer: peer, reason: reason.clipped(toBytes: Self.reasonLimit)))
        if failures.count > Self.limit { failures.removeFirst() }
    }

    /// What of an event failed, if anything did.
    static func failure(_ event: NodeEvent) -> (what: String, peer: NodeID?, reason: String)? {
        switch event {
        case .connectFailed(let peer, let reason): ("connect", peer, reason)
        case .session(let session, .ended(let end)):
            switch end.cause {
            case .timeout, .transport: ("connection", session.nodeID, "\(end)")
            case .closedByPeer(let code) where code != .normal && code != .goodbye && code != .duplicate:
                ("connection", session.nodeID, "\(end)")
            case .closedByPeer, .closedLocally: nil
            }
        case .relay(.refused(let relay, let reason, _)): ("reservation", relay.nodeID, reason)
        case .relay(.lost(let relay)): ("reservation", relay.nodeID, "the relay is lost")
        case .transfer(let transfer, .ended(.failure(let error))): ("transfer", transfer.peer, error.message)
        case .messageFailed(let from, let name, let reason): ("message", from, "\(name): \(reason)")
        case .storage(let notice) where notice.kind != .kept: ("storage", nil, notice.message)
        default: nil
        }
    }
}
