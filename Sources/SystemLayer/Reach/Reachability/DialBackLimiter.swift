internal import DeP2PIdentity
internal import DeP2PReactor

/// How often a node dials back: pure. What it sends is a few small datagrams for one request over an authenticated
/// connection, to that connection's own address; the limits keep it no more than that.
struct DialBackLimiter {
    /// Requests in any minute of one NodeID and of one subject; of one subnet, so that no customer takes them all; and of
    /// everyone.
    static let perAsker = 6
    static let perSubnet = 24
    static let total = 120
    /// Askers remembered.
    static let memory = 4_096

    private enum Asker: Hashable {
        case node(NodeID)
        case subject(Subject)
        case subnet(Subject)
        case everyone

        var limit: Int {
            switch self {
            case .node, .subject: DialBackLimiter.perAsker
            case .subnet: DialBackLimiter.perSubnet
            case .everyone: DialBackLimiter.total
            }
        }
    }

    private var taken: [Asker: MinuteWindow] = [:]

    /// Takes one request, when all limits allow it.
    mutating func take(_ nodeID: NodeID, _ subject: Subject, now: NetworkInstant) -> Bool {
        // Each that was granted something within a minute is remembered, and no more than ``total`` are granted anything.
        if taken.count >= Self.memory { taken = taken.filter { !isEmpty($0.value, now) } }
        let askers = [Asker.node(nodeID), .subject(subject), .subnet(subject.subnet), .everyone]
        for (index, asker) in askers.enumerated() {
            guard taken[asker, default: MinuteWindow()].take(limit: asker.limit, now: now) else {
                for other in askers[..<index] { taken[other]?.giveBack() }
                return false
            }
        }
        return true
    }

    private func isEmpty(_ window: MinuteWindow, _ now: NetworkInstant) -> Bool {
        var window = window
        return window.isEmpty(now: now)
    }
}
