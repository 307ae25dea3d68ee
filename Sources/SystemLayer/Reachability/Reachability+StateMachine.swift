internal import Identity
internal import QUIC

/// Which of a node's addresses others can reach, by what the nodes say that were asked to dial back: pure.
///
/// A server (a connection to a node that dials back) is waiting until its time, then asked, then waiting again; one that
/// can't is forgotten. Calling order: ``serverOpened(_:now:)`` and ``serverClosed(_:)`` as connections come and go; for
/// each ``Action/ask(_:round:)`` one of ``answered(_:round:_:now:)`` or ``failed(_:round:isFinal:now:)``;
/// ``portsChanged(now:)`` and ``networkChanged(now:)`` as it happens; ``timerFired(now:)`` when ``wake`` comes.
struct ReachabilityMachine {
    /// Servers asked, and addresses remembered.
    static let serverLimit = 4
    static let addressLimit = 16
    /// A new connection has more urgent things to carry; a change is often followed by another.
    static let settling = Duration.milliseconds(200)
    /// Until the same server is asked again, and after a refusal or a loss.
    static let repetition = Duration.seconds(600)
    static let patience = Duration.seconds(60)
    /// How long a verdict holds.
    static let lifetime = Duration.seconds(1500)

    enum Action: Equatable {
        case ask(UInt64, round: Int)
        /// ``state``, ``verified`` or ``refuted`` has changed.
        case changed
    }

    private struct Server {
        var nextAt: NetworkInstant
        var isAsking = false
        /// Something changed while it was asked.
        var isStale = false
    }

    private struct Verdict {
        let isReachable: Bool
        let at: NetworkInstant
    }

    private struct Summary: Equatable {
        let state: Reachability.State
        let verified: [SocketAddress]
        let refuted: Set<SocketAddress>
    }

    private var servers: [UInt64: Server] = [:]
    /// Of each address, by each server.
    private var verdicts: [SocketAddress: [UInt64: Verdict]] = [:]
    /// Counts the changes of the network: what was asked before says nothing about now.
    private var round = 0

    // MARK: What is known

    /// Addresses that somebody reached from outside, in the order of their text.
    var verified: [SocketAddress] {
        verdicts.filter { $0.value.values.contains(where: \.isReachable) }.keys
            .sorted { $0.description < $1.description }
    }

    /// Addresses that nobody who tried has reached.
    var refuted: Set<SocketAddress> {
        Set(verdicts.filter { !$0.value.isEmpty && !$0.value.values.contains(where: \.isReachable) }.keys)
    }

    var state: Reachability.State {
        if !verified.isEmpty { return .reachable }
        return refuted.isEmpty ? .unknown : .unreachable
    }

    private var summary: Summary { Summary(state: state, verified: verified, refuted: refuted) }

    /// When ``timerFired(now:)`` wants to be called.
    var wake: NetworkInstant? {
        let asks = servers.values.filter { !$0.isAsking }.map(\.nextAt)
        let ends = verdicts.values.flatMap(\.values).map { $0.at.advanced(by: Self.lifetime) }
        return (asks + ends).min()
    }

    // MARK: Events

    mutating func serverOpened(_ id: UInt64, now: NetworkInstant) {
        guard servers.count < Self.serverLimit, servers[id] == nil else { return }
        servers[id] = Server(nextAt: now.advanced(by: Self.settling))
    }

    mutating func serverClosed(_ id: UInt64) { servers[id] = nil }

    /// The gateways have opened or closed ports.
    mutating func portsChanged(now: NetworkInstant) {
        for id in servers.keys {
            servers[id]?.isStale = true
            servers[id]?.nextAt = now.advanced(by: Self.settling)
        }
    }

    mutating func networkChanged(now: NetworkInstant) -> [Action] {
        let before = summary
        round += 1
        verdicts = [:]
        for id in servers.keys { servers[id] = Server(nextAt: now.advanced(by: Self.settling)) }
        return before == summary ? [] : [.changed]
    }

    /// - Parameter reached: the addresses that were tried, and whether the nonce arrived.
    mutating func answered(
        _ id: UInt64, round: Int, _ reached: [SocketAddress: Bool], now: NetworkInstant
    ) -> [Action] {
        guard round == self.round else { return [] }
        let before = summary
        // What a server says now takes the place of all that it said before.
        for address in verdicts.keys { verdicts[address]?[id] = nil }
        for (address, isReachable) in reached where verdicts[address] != nil || verdicts.count < Self.addressLimit {
            verdicts[address, default: [:]][id] = Verdict(isReachable: isReachable, at: now)
        }
        verdicts = verdicts.filter { !$0.value.isEmpty }
        settle(id, after: Self.repetition, now)
        return before == summary ? [] : [.changed]
    }

    /// - Parameter isFinal: the node does not dial back, or cannot over this connection.
    mutating func failed(_ id: UInt64, round: Int, isFinal: Bool, now: NetworkInstant) {
        guard round == self.round else { return }
        if isFinal { servers[id] = nil } else { settle(id, after: Self.patience, now) }
    }

    mutating func timerFired(now: NetworkInstant) -> [Action] {
        let before = summary
        for address in verdicts.keys {
            verdicts[address] = verdicts[address]?.filter { now.duration(since: $0.value.at) < Self.lifetime }
        }
        verdicts = verdicts.filter { !$0.value.isEmpty }
        var actions: [Action] = before == summary ? [] : [.changed]
        for (id, server) in servers.sorted(by: { $0.key < $1.key }) where !server.isAsking && server.nextAt <= now {
            servers[id]?.isAsking = true
            servers[id]?.isStale = false
            actions.append(.ask(id, round: round))
        }
        return actions
    }

    private mutating func settle(_ id: UInt64, after delay: Duration, _ now: NetworkInstant) {
        guard let server = servers[id] else { return }
        servers[id] = Server(nextAt: now.advanced(by: server.isStale ? Self.settling : delay))
    }
}
