internal import Identity
internal import SystemLayer

/// What the requests under way take of this node, and how much of it each peer has: pure.
///
/// Bytes count when they have arrived: what a peer only announces keeps nobody out. A peer has at most three quarters of
/// everything, so that no member keeps the others out.
struct MessagingQuota {
    private struct Share {
        var requests = 0
        var bytes = 0
    }

    private let limits: MessagingLimits
    private var all = Share()
    private var byPeer: [NodeID: Share] = [:]

    init(_ limits: MessagingLimits) {
        self.limits = limits
    }

    private var requestsPerPeer: Int { limits.concurrentRequests - limits.concurrentRequests / 4 }

    /// At least one body: a peer's share must do for a message of the largest size.
    private var bytesPerPeer: Int {
        max(limits.bufferedBytes - limits.bufferedBytes / 4, min(limits.bodySize, limits.bufferedBytes))
    }

    /// Why a request of `size` bytes is not served; `nil` when it is.
    func refusal(of size: UInt64, from peer: NodeID) -> LimitExceeded? {
        let own = byPeer[peer] ?? Share()
        if all.requests >= limits.concurrentRequests {
            return LimitExceeded(name: "requests at once", value: all.requests, limit: limits.concurrentRequests)
        }
        if own.requests >= requestsPerPeer {
            return LimitExceeded(name: "requests of one node at once", value: own.requests, limit: requestsPerPeer)
        }
        // Refused now rather than in its middle.
        return excess(Int(clamping: size), own)
    }

    mutating func begin(from peer: NodeID) {
        all.requests += 1
        byPeer[peer, default: Share()].requests += 1
    }

    /// Bytes of a body have arrived.
    ///
    /// - Throws: the limit that has no room for them.
    mutating func book(_ bytes: Int, from peer: NodeID) throws(LimitExceeded) {
        if let excess = excess(bytes, byPeer[peer] ?? Share()) { throw excess }
        all.bytes += bytes
        byPeer[peer, default: Share()].bytes += bytes
    }

    /// A request has ended, of which `bytes` were booked.
    mutating func end(from peer: NodeID, bytes: Int) {
        guard let own = byPeer.index(forKey: peer) else { return }
        all.requests -= 1
        all.bytes -= bytes
        byPeer.values[own].requests -= 1
        byPeer.values[own].bytes -= bytes
        if byPeer.values[own].requests == 0 { byPeer.remove(at: own) }
    }

    private func excess(_ bytes: Int, _ own: Share) -> LimitExceeded? {
        if bytes > limits.bufferedBytes - all.bytes {
            return LimitExceeded(name: "bytes of requests at once", value: all.bytes, limit: limits.bufferedBytes)
        }
        if bytes > bytesPerPeer - own.bytes {
            return LimitExceeded(name: "bytes of requests of one node at once", value: own.bytes, limit: bytesPerPeer)
        }
        return nil
    }
}
