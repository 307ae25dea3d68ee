internal import DeP2PReactor
internal import Identity
internal import SystemLayer

/// What the requests under way take of this node, and how much of it each sender has: pure.
///
/// Bytes count when they have arrived: what a peer only announces keeps nobody out. A node has at most three quarters of
/// what the others leave, so that no member keeps the others out; and since whoever has the realm key has any number of
/// identities, all nodes of one ``Subject`` have at most seven eighths of what other subjects leave, and since a customer
/// has a subnet, all of one such fifteen sixteenths.
struct MessagingQuota {
    private struct Share {
        var requests = 0
        var bytes = 0

        static func + (left: Self, right: Self) -> Self {
            Self(requests: left.requests + right.requests, bytes: left.bytes + right.bytes)
        }

        static prefix func - (share: Self) -> Self { Self(requests: -share.requests, bytes: -share.bytes) }
    }

    private static let nodePart = 4
    private static let subjectPart = 8
    private static let subnetPart = 16

    private let limits: MessagingLimits
    private var all = Share()
    private var byNode: [NodeID: Share] = [:]
    private var bySubject: [Subject: Share] = [:]
    private var bySubnet: [Subject: Share] = [:]

    init(_ limits: MessagingLimits) {
        self.limits = limits
    }

    /// Why a request of `size` bytes is not served; `nil` when it is.
    func refusal(of size: UInt64, from sender: Sender) -> LimitExceeded? {
        // Refused now rather than in its middle.
        excess(\.requests, 1, of: limits.concurrentRequests, atLeast: 1, "requests", sender)
            ?? excess(bytes: Int(clamping: size), sender)
    }

    mutating func begin(from sender: Sender) { add(Share(requests: 1), sender) }

    /// Bytes of a body have arrived.
    ///
    /// - Throws: the limit that has no room for them.
    mutating func book(_ bytes: Int, from sender: Sender) throws(LimitExceeded) {
        if let excess = excess(bytes: bytes, sender) { throw excess }
        add(Share(bytes: bytes), sender)
    }

    /// A request has ended, of which `bytes` were booked.
    mutating func end(from sender: Sender, bytes: Int) {
        guard byNode[sender.nodeID] != nil, bySubject[sender.subject] != nil else { return }
        add(-Share(requests: 1, bytes: bytes), sender)
    }

    private mutating func add(_ share: Share, _ sender: Sender) {
        all = all + share
        Self.add(share, to: &byNode[sender.nodeID])
        Self.add(share, to: &bySubject[sender.subject])
        Self.add(share, to: &bySubnet[sender.subject.subnet])
    }

    /// Nothing is kept of who has no request under way.
    private static func add(_ share: Share, to sum: inout Share?) {
        let new = (sum ?? Share()) + share
        sum = new.requests > 0 ? new : nil
    }

    /// A sender's share must do for a message of the largest size.
    private func excess(bytes: Int, _ sender: Sender) -> LimitExceeded? {
        excess(
            \.bytes, bytes, of: limits.bufferedBytes, atLeast: min(limits.bodySize, limits.bufferedBytes),
            "bytes of requests", sender)
    }

    private func excess(
        _ kind: KeyPath<Share, Int>, _ more: Int, of total: Int, atLeast least: Int, _ name: String, _ sender: Sender
    ) -> LimitExceeded? {
        let used = all[keyPath: kind]
        if more > total - used { return LimitExceeded(name: "\(name) at once", value: used, limit: total) }
        for (own, part, whose) in [
            (byNode[sender.nodeID], Self.nodePart, "node"), (bySubject[sender.subject], Self.subjectPart, "address"),
            (bySubnet[sender.subject.subnet], Self.subnetPart, "network"),
        ] {
            let own = own?[keyPath: kind] ?? 0
            let left = total - (used - own)
            let limit = max(left - left / part, least)
            if more > limit - own {
                return LimitExceeded(name: "\(name) of one \(whose) at once", value: own, limit: limit)
            }
        }
        return nil
    }
}
