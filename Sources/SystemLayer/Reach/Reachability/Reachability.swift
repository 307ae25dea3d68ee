package import DeP2PIdentity
internal import DeP2PQUIC
package import DeP2PReactor
package import DeP2PSessions

/// Finds out which of this node's addresses others can reach: asks nodes that it is connected to, to dial back.
///
/// Calling order: make it, ``start()``, ``stop()``. Who is asked when is ``ReachabilityMachine``'s to decide.
@NetworkActor
package final class Reachability {
    package typealias State = ReachabilityState

    nonisolated static let reportDeadline = Duration.seconds(3)
    /// How long after the report the last of the indications may arrive.
    nonisolated static let arrivalDeadline = Duration.milliseconds(1200)

    /// Called when the state or the addresses have changed.
    package var onChange: (@NetworkActor () -> Void)?
    private let connections: Connections
    private let stun: STUNService
    private let surroundings: Surroundings
    private let driver: MachineDriver<ReachabilityMachine>
    private var awaited: [STUNTransactionID: Arrival] = [:]

    @NetworkActor
    private final class Arrival {
        var from: SocketAddress?
        let all: Waiter<Void>
        init(_ all: Waiter<Void>) { self.all = all }
    }

    /// Finds out, from others than the server, whose packets of a family come in.
    package typealias Filtering = @NetworkActor @Sendable (IPAddress.Family) async -> NATFamilyReport?

    /// What it has to know of the node.
    package struct Surroundings {
        /// External ports that gateways have opened, to be tried too.
        package var ports: @NetworkActor () -> [UInt16] = { [] }
        /// The node's addresses that take nobody's word: its interfaces', and those that gateways have said that they
        /// forward, with their ports.
        package var own: @NetworkActor () -> [SocketAddress] = { [] }
        /// Whether this node's user chose the peer: a peer's word can make this node dial its friends.
        package var isChosen: @NetworkActor (Session) -> Bool = { _ in true }
        /// Asked when a server got through: its address is known to this node's NAT, and may be let in for that alone.
        package var filtering: Filtering = { _ in nil }

        package init() {}
    }

    package init(
        _ connections: Connections, stun: STUNService, surroundings: Surroundings = Surroundings()
    ) {
        self.surroundings = surroundings
        self.stun = stun
        self.connections = connections
        driver = MachineDriver(ReachabilityMachine(), clock: connections.clock)
        driver.carryOut = { [weak self] in self?.carryOut($0) }
    }

    private var clock: any NetworkClock { connections.clock }

    package var state: State { driver.machine.state }
    /// Addresses of this node that others have reached.
    package var verified: [SocketAddress] { driver.machine.verified }
    /// Addresses that others have tried in vain.
    package var refuted: Set<SocketAddress> { driver.machine.refuted }

    package func start() {
        for session in connections.sessions { opened(session) }
        connections.onSession { [weak self] session in self?.opened(session) }
    }

    package func stop() { driver.stop() }

    /// The gateways have opened or closed ports.
    package func portsChanged() { driver.note { $0.portsChanged(now: $1) } }

    /// Addresses or routes have changed: nothing that was found out holds.
    package func networkChanged() { driver.handle { $0.networkChanged(now: $1) } }

    // MARK: Servers

    /// Those that this node went to, out in the world: who came in by itself, or is near, shows nothing.
    private func opened(_ session: Session) {
        guard session.isInitiator, session.path.tcpPeer == nil, session.path.peerAddress?.ip.isGlobal == true else {
            return
        }
        driver.note { $0.serverOpened(session.id, session.subject, now: $1) }
        session.onEnd { [driver] session, _ in driver.note { machine, _ in machine.serverClosed(session.id) } }
    }

    private func carryOut(_ actions: [ReachabilityMachine.Action]) {
        for action in actions {
            switch action {
            case .changed: onChange?()
            case .ask(let id, let round): networkTask { [weak self] in await self?.ask(id, round) }
            }
        }
    }

    private func ask(_ id: UInt64, _ round: Int) async {
        guard let session = connections.session(id: id) else { return }
        do {
            let voice = try await dialBack(session)
            driver.handle { $0.answered(id, round: round, voice, now: $1) }
        } catch {
            let isFinal = (error as? SessionError)?.code == .unsupported || error is DialBackUnable
            driver.note { $0.failed(id, round: round, isFinal: isFinal, now: $1) }
        }
    }

    // MARK: One dial-back

    /// The session's peer can't dial back over this connection.
    private struct DialBackUnable: Error {}

    private func dialBack(_ session: Session) async throws -> ReachabilityMachine.Voice {
        var random = connections.random
        let ports = surroundings.ports()
        let probes = ([0] + ports + forwarded(besides: ports)).prefix(DialBackMessage.probeLimit).map { port in
            DialBackProbe(port: port, nonce: .random(using: &random))
        }
        let all = Waiter<Void>()
        for probe in probes { wait(for: probe.nonce, of: all) }
        defer { for probe in probes { forget(probe.nonce) } }
        let observed = try await report(on: session, probes)
        let patience = clock.schedule(after: Self.arrivalDeadline) { all.resume(returning: ()) }
        defer { clock.cancel(patience) }
        if !hasAll(probes) { try await all.value() }
        let own = Set(surroundings.own())
        var trials: [SocketAddress: ReachabilityMachine.Trial] = [:]
        // The connection's own port is tried as it is: as one that may be forwarded it would be tried twice.
        for probe in probes where probe.port != observed.port || ports.contains(probe.port) {
            let isMapped = probe.port != 0 || ports.contains(observed.port)
            let address = SocketAddress(observed.ip, port: probe.port == 0 ? observed.port : probe.port)
            let isOwn = own.contains(address)
            var isReachable: Bool? = awaited[probe.nonce]?.from.map(isStranger) ?? false
            // A port that a gateway has opened is open to everyone; so is one that the user has had forwarded: through what the
            // gateway itself has assigned to this node it is seen at another.
            if isReachable == true, !isMapped, let source = awaited[probe.nonce]?.from {
                isReachable = await isOpen(to: source, isOwn: isOwn)
            }
            guard let isReachable, trials[address]?.isReachable != true else { continue }
            trials[address] = ReachabilityMachine.Trial(
                isReachable: isReachable, proof: isOwn ? .own : isMapped ? .sameIP : .sameAddress)
        }
        return ReachabilityMachine.Voice(
            subject: session.subject, isWitness: surroundings.isChosen(session), observed: observed, trials: trials)
    }

    /// Ports of this node's own that somebody may have had forwarded to it, as they are, by hand.
    private func forwarded(besides ports: [UInt16]) -> [UInt16] {
        Set(surroundings.own().map(\.port)).subtracting(ports).sorted()
    }

    /// Whether what came from `source` came uninvited: where a connection of this node's goes, anything lets it in.
    private func isStranger(_ source: SocketAddress) -> Bool {
        !connections.sessions.contains { $0.path.remote == source }
    }

    /// Whether this node's NAT or firewall lets in whom it has never heard of, as it has let in `source`; `nil` when that can't be
    /// told. Where it keeps out other ports of whom it knows, the port that it has let a stranger's in at was forwarded by hand.
    ///
    /// - Parameter isOwn: an interface's address: firewalls before one look at ports, so that the second port has shown
    ///   it. NATs that know addresses only are common.
    private func isOpen(to source: SocketAddress, isOwn: Bool) async -> Bool? {
        guard let found = await surroundings.filtering(source.ip.family)?.filtering else { return isOwn ? true : nil }
        guard found == .addressAndPortDependent else { return found == .endpointIndependent }
        // Of late this node itself has written there, to find out its address.
        return stun.mayBeKnown(source) ? nil : true
    }

    /// Where the peer sees this node, once the indications are on their way.
    private func report(on session: Session, _ probes: [DialBackProbe]) async throws -> SocketAddress {
        let answer = try await session.ask(
            DialBackService.id, try DialBackMessage.encode(probes), limit: DialBackMessage.limit,
            within: Self.reportDeadline)
        guard let report = DialBackMessage.report(answer) else { throw SessionError(.violation) }
        switch report.status {
        case .sent:
            guard let observed = report.observed, observed.ip.isGlobal else { throw DialBackUnable() }
            return observed
        case .unable, .malformed: throw DialBackUnable()
        case .limitReached: throw SessionError(.busy)
        }
    }

    private func hasAll(_ probes: [DialBackProbe]) -> Bool {
        probes.allSatisfy { awaited[$0.nonce]?.from != nil }
    }

    private func wait(for nonce: STUNTransactionID, of all: Waiter<Void>) {
        awaited[nonce] = Arrival(all)
        stun.expect(nonce) { [weak self] message, datagram in
            if message.kind == .indication { self?.arrived(message.transaction, from: datagram.remote) }
        }
    }

    private func forget(_ nonce: STUNTransactionID) {
        awaited[nonce] = nil
        stun.forget(nonce)
    }

    private func arrived(_ nonce: STUNTransactionID, from remote: SocketAddress) {
        guard let arrival = awaited[nonce] else { return }
        arrival.from = arrival.from ?? remote
        if awaited.values.allSatisfy({ $0.all !== arrival.all || $0.from != nil }) { arrival.all.resume(returning: ()) }
    }
}
