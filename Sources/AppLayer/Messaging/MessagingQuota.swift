internal import DeP2PIdentity
internal import DeP2PReactor
internal import DeP2PSessions

/// What the requests under way take of this node, and how much of it each sender has: pure.
///
/// Bytes count when they have arrived: what a peer only announces keeps nobody out. A node has at most three quarters of
/// what the others leave, so that no member keeps the others out; and since whoever has the realm key has any number of
/// identities, all nodes of one ``Subject`` have at most seven eighths of what other subjects leave, and since a customer
/// has a subnet, all of one such fifteen sixteenths.
///
/// Calling order for each request: ``refusal(of:from:)``, ``begin(from:)``, any number of ``book(_:for:)``,
/// ``end(_:bytes:)``.
struct MessagingQuota {
    /// A request under way, as the groups that it counts for: places in ``shares``.
    struct Account {
        fileprivate let node: Int
        fileprivate let subject: Int
        fileprivate let subnet: Int
    }

    private struct Share {
        var requests = 0
        var bytes = 0

        static func += (left: inout Self, right: Self) {
            left.requests += right.requests
            left.bytes += right.bytes
        }
    }

    private enum Group: Hashable {
        case node(NodeID)
        case subject(Subject)
        case subnet(Subject)
    }

    private enum Kind {
        case requests
        case bytes

        var name: String { self == .requests ? "requests" : "bytes of requests" }

        func callAsFunction(_ share: Share) -> Int { self == .requests ? share.requests : share.bytes }
    }

    /// A group has all but this part of what others leave.
    private static let parts = (node: 4, subject: 8, subnet: 16)
    /// Senders whose accounts are found at once; those without a request are forgotten when there are more.
    static let remembered = 4_096

    private let limits: MessagingLimits
    private var all = Share()
    private var shares: [Share] = []
    private var free: [Int] = []
    private var places: [Group: Int] = [:]
    private var accounts: [Sender: Account] = [:]
    /// Asked for last.
    private var recent: (sender: Sender, account: Account)?

    init(_ limits: MessagingLimits) {
        self.limits = limits
    }

    /// Why a request of `size` bytes is not served; `nil` when it is.
    func refusal(of size: UInt64, from sender: Sender) -> LimitExceeded? {
        // Refused now rather than in its middle.
        let size = Int(clamping: size)
        if isPlenty(.requests, 1), isPlenty(.bytes, size) { return nil }
        return excess(.requests, 1, of(sender)) ?? excess(.bytes, size, of(sender))
    }

    mutating func begin(from sender: Sender) -> Account {
        let account = account(of: sender)
        add(Share(requests: 1), to: account)
        return account
    }

    /// Bytes of a body have arrived.
    ///
    /// - Throws: the limit that has no room for them.
    mutating func book(_ bytes: Int, for account: Account) throws(LimitExceeded) {
        if !isPlenty(.bytes, bytes), let excess = excess(.bytes, bytes, of(account)) { throw excess }
        add(Share(bytes: bytes), to: account)
    }

    /// A request has ended, of which `bytes` were booked.
    mutating func end(_ account: Account, bytes: Int) { add(Share(requests: -1, bytes: -bytes), to: account) }

    private mutating func add(_ share: Share, to account: Account) {
        all += share
        shares[account.node] += share
        shares[account.subject] += share
        shares[account.subnet] += share
    }

    // MARK: Accounts

    /// Senders that are remembered.
    var senderCount: Int { accounts.count }

    private mutating func account(of sender: Sender) -> Account {
        // One after the other of the same sender, mostly: comparing is less than hashing.
        if let recent, recent.sender == sender { return recent.account }
        let account = anyAccount(of: sender)
        recent = (sender, account)
        return account
    }

    private mutating func anyAccount(of sender: Sender) -> Account {
        if let account = accounts[sender] { return account }
        if accounts.count >= Self.remembered { forgetIdle() }
        let account = Account(
            node: place(of: .node(sender.nodeID)), subject: place(of: .subject(sender.subject)),
            subnet: place(of: .subnet(sender.subject.subnet)))
        accounts[sender] = account
        return account
    }

    private mutating func place(of group: Group) -> Int {
        if let place = places[group] { return place }
        let place = free.popLast() ?? shares.count
        if place == shares.count { shares.append(Share()) }
        places[group] = place
        return place
    }

    /// Those that stay have a request, and there are no more requests at once than ``MessagingLimits`` says.
    private mutating func forgetIdle() {
        recent = nil
        accounts = accounts.filter { shares[$0.value.node].requests > 0 && shares[$0.value.subject].requests > 0 }
        let used = Set(accounts.values.flatMap { [$0.node, $0.subject, $0.subnet] })
        for (group, place) in places where !used.contains(place) {
            places[group] = nil
            free.append(place)
        }
    }

    // MARK: Limits

    /// What each of a sender's groups has, the smallest group first.
    private struct Shares {
        let node: Share
        let subject: Share
        let subnet: Share
    }

    private func of(_ account: Account) -> Shares {
        Shares(node: shares[account.node], subject: shares[account.subject], subnet: shares[account.subnet])
    }

    private func of(_ sender: Sender) -> Shares {
        func share(_ group: Group) -> Share { places[group].map { shares[$0] } ?? Share() }
        return Shares(
            node: share(.node(sender.nodeID)), subject: share(.subject(sender.subject)),
            subnet: share(.subnet(sender.subject.subnet)))
    }

    private func total(_ kind: Kind) -> Int { kind == .requests ? limits.concurrentRequests : limits.bufferedBytes }

    /// Whether there is room for `more` even if all that is taken were the sender's own.
    private func isPlenty(_ kind: Kind, _ more: Int) -> Bool {
        more <= total(kind) - total(kind) / Self.parts.node - kind(all)
    }

    private func excess(_ kind: Kind, _ more: Int, _ own: Shares) -> LimitExceeded? {
        let (used, total) = (kind(all), total(kind))
        if more > total - used { return LimitExceeded(name: "\(kind.name) at once", value: used, limit: total) }
        // A sender's share must do for a message of the largest size.
        let least = kind == .requests ? 1 : min(limits.bodySize, limits.bufferedBytes)
        func excess(_ own: Share, part: Int, of whose: String) -> LimitExceeded? {
            let own = kind(own)
            let left = total - (used - own)
            let limit = max(left - left / part, least)
            guard more > limit - own else { return nil }
            return LimitExceeded(name: "\(kind.name) of one \(whose) at once", value: own, limit: limit)
        }
        return excess(own.node, part: Self.parts.node, of: "node")
            ?? excess(own.subject, part: Self.parts.subject, of: "address")
            ?? excess(own.subnet, part: Self.parts.subnet, of: "network")
    }
}
