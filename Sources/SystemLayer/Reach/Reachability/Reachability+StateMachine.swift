internal import DeP2PIdentity
internal import DeP2PReactor

/// Which of a node's addresses others can reach, by what the nodes say that were asked to dial back: pure.
///
/// A server (a connection to a node that dials back) is waiting until its time, then asked, then waiting again; one that
/// can't is forgotten. Calling order: ``serverOpened(_:_:now:)`` and ``serverClosed(_:)`` as connections come and go; for
/// each ``Action/ask(_:round:)`` one of ``answered(_:round:_:now:)`` or ``failed(_:round:isFinal:now:)``;
/// ``portsChanged(now:)`` and ``networkChanged(now:)`` as it happens; ``timerFired(now:)`` when ``wake`` comes.
///
/// **Whose address it is.** That a nonce has arrived shows that the server gets through to this node; that it did so at
/// the address that it names is its word alone. It may name a victim's, which peers would then be sent to. So each
/// address has a ``Proof`` to bring before it is told to anyone; what only one subject says is no address of this node's.
struct ReachabilityMachine: TimedMachine {
    /// Servers asked, and subjects whose last words are remembered.
    static let serverLimit = 4
    static let voiceLimit = 16
    /// Servers of one subject: the others have to have a place.
    static let serversPerSubject = 1
    /// Subjects that have to see this node at an address for it to be this node's.
    static let witnesses = 2
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

    /// What makes an address that was reached this node's.
    enum Proof: Equatable {
        /// It is an interface's, or one that a gateway has said that it forwards.
        case own
        /// ``witnesses`` see this node at just this address.
        case sameAddress
        /// ``witnesses`` see this node at this IP address: of a port that a gateway has opened without saying where.
        case sameIP
    }

    /// An address that a server was asked to try.
    struct Trial: Equatable {
        let isReachable: Bool
        let proof: Proof
    }

    /// What came of asking a server.
    struct Voice: Equatable {
        /// Whom it counts for: one subject has one voice, however many servers it runs.
        let subject: Subject
        /// Whether it may bear witness: who was chosen by this node's user, and not by a peer.
        let isWitness: Bool
        /// Where it says that this node is.
        let observed: SocketAddress
        let trials: [SocketAddress: Trial]
    }

    private struct Server {
        let subject: Subject
        var nextAt: NetworkInstant
        var isAsking = false
        /// Something changed while it was asked.
        var isStale = false
    }

    private struct Summary: Equatable {
        let state: Reachability.State
        let verified: [SocketAddress]
        let refuted: Set<SocketAddress>
    }

    private var servers: [UInt64: Server] = [:]
    private var voices: [Subject: (voice: Voice, at: NetworkInstant)] = [:]
    /// Counts the changes of the network: what was asked before says nothing about now.
    private var round = 0

    // MARK: What is known

    /// This node's addresses that somebody reached from outside, in the order of their text.
    var verified: [SocketAddress] {
        let found = reached.filter { address, proofs in proofs.contains { isProven(address, $0) } }
        return found.keys.sorted { $0.description < $1.description }
    }

    /// Addresses that nobody who tried has reached.
    var refuted: Set<SocketAddress> {
        let tried = voices.values.flatMap(\.voice.trials.keys)
        return Set(tried).subtracting(reached.keys)
    }

    var state: Reachability.State {
        if !verified.isEmpty { return .reachable }
        // Somebody got through, but whether at an address of this node's is one subject's word.
        guard reached.isEmpty else { return .unknown }
        return refuted.isEmpty ? .unknown : .unreachable
    }

    /// The addresses at which servers say that they got through, and what would prove each.
    private var reached: [SocketAddress: [Proof]] {
        var found: [SocketAddress: [Proof]] = [:]
        for (voice, _) in voices.values {
            for (address, trial) in voice.trials where trial.isReachable {
                found[address, default: []].append(trial.proof)
            }
        }
        return found
    }

    private func isProven(_ address: SocketAddress, _ proof: Proof) -> Bool {
        let seen = voices.values.map(\.voice).filter(\.isWitness).map(\.observed)
        return switch proof {
        case .own: true
        case .sameAddress: seen.count { $0 == address } >= Self.witnesses
        case .sameIP: seen.count { $0.ip == address.ip } >= Self.witnesses
        }
    }

    private var summary: Summary { Summary(state: state, verified: verified, refuted: refuted) }

    /// When ``timerFired(now:)`` wants to be called.
    var wake: NetworkInstant? {
        let asks = servers.values.filter { !$0.isAsking }.map(\.nextAt)
        let ends = voices.values.map { $0.at.advanced(by: Self.lifetime) }
        return (asks + ends).min()
    }

    // MARK: Events

    mutating func serverOpened(_ id: UInt64, _ subject: Subject, now: NetworkInstant) {
        guard servers.count < Self.serverLimit, servers[id] == nil,
            servers.values.count(where: { $0.subject == subject }) < Self.serversPerSubject
        else { return }
        servers[id] = Server(subject: subject, nextAt: now.advanced(by: Self.settling))
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
        voices = [:]
        servers = servers.mapValues { Server(subject: $0.subject, nextAt: now.advanced(by: Self.settling)) }
        return before == summary ? [] : [.changed]
    }

    /// What the server has found out, in place of all that its subject had said before.
    mutating func answered(_ id: UInt64, round: Int, _ voice: Voice, now: NetworkInstant) -> [Action] {
        guard round == self.round else { return [] }
        let before = summary
        if voices[voice.subject] == nil, voices.count >= Self.voiceLimit,
            let oldest = voices.min(by: { $0.value.at < $1.value.at })
        {
            voices[oldest.key] = nil
        }
        voices[voice.subject] = (voice, now)
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
        voices = voices.filter { now.duration(since: $0.value.at) < Self.lifetime }
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
        servers[id] = Server(
            subject: server.subject, nextAt: now.advanced(by: server.isStale ? Self.settling : delay))
    }
}
