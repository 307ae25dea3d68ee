internal import DeP2PReactor
internal import Identity
internal import QUIC

/// How often a node dials back: pure. What it sends is a few small datagrams for one request over an authenticated
/// connection, to that connection's own address; the limits keep it no more than that.
struct DialBackLimiter {
    /// Requests a minute of one NodeID and of one subject; and of everyone, for a minute's burst.
    static let perAsker = 6
    static let total = 120
    /// Askers remembered.
    static let memory = 4_096
    private static let period = Duration.seconds(60)

    private struct Count {
        let since: NetworkInstant
        var requests = 0

        var counted: Self { Self(since: since, requests: requests + 1) }
    }

    private var byNode: [NodeID: Count] = [:]
    private var bySubject: [Subject: Count] = [:]
    private var everyone = Count(since: NetworkInstant(nanoseconds: 0))

    /// Takes one request, when all three limits allow it.
    mutating func take(_ nodeID: NodeID, _ subject: Subject, now: NetworkInstant) -> Bool {
        if byNode.count >= Self.memory || bySubject.count >= Self.memory { forget(now) }
        let counts = [
            current(everyone, now), current(byNode[nodeID], now), current(bySubject[subject], now),
        ]
        let limits = [Self.total, Self.perAsker, Self.perAsker]
        guard zip(counts, limits).allSatisfy({ $0.requests < $1 }), byNode.count < Self.memory,
            bySubject.count < Self.memory
        else { return false }
        everyone = counts[0].counted
        byNode[nodeID] = counts[1].counted
        bySubject[subject] = counts[2].counted
        return true
    }

    private func current(_ count: Count?, _ now: NetworkInstant) -> Count {
        guard let count, now.duration(since: count.since) < Self.period else { return Count(since: now) }
        return count
    }

    private mutating func forget(_ now: NetworkInstant) {
        byNode = byNode.filter { now.duration(since: $0.value.since) < Self.period }
        bySubject = bySubject.filter { now.duration(since: $0.value.since) < Self.period }
    }
}
