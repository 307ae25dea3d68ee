package import DeP2PIdentity
package import DeP2PQUIC
package import DeP2PReactor
package import DeP2PSessions

/// Keeps every connection's path: gets those that are relayed onto straight paths, and onto relays when these die, however
/// they began (the manner of libp2p's DCUtR, with datagrams of our own beside QUIC in place of connection attempts).
///
/// The QUIC client of a connection runs it, since only a client can migrate; the server takes part. Calling order: ``start()``;
/// ``stop()`` before the node's connections are drained. Which path when is ``PathKeeper``'s to decide.
@NetworkActor
package final class HolePunch {
    package nonisolated static let id = "/dep2p/sys/holepunch/1.0.0"
    /// How long after a change of the network, and then after each other, those who dialled this node are told where it is.
    static let wordPauses: [Duration] = [.milliseconds(0), .milliseconds(300), .milliseconds(700), .seconds(2)]

    /// Sockets that show which ports a NAT gives out at present: two make a step.
    static let sequenceSockets = 2

    /// What it has to know of the node.
    package struct Surroundings: Sendable {
        /// The interfaces' addresses with the ports of the node's sockets, best first.
        package var interfaces: @NetworkActor @Sendable () -> [InterfaceAddress]
        /// STUN servers besides the relays that the node is connected with.
        package var observers: @NetworkActor @Sendable () -> [SocketAddress]
        /// Relays through which a node may be reached, as addresses of the relays.
        package var relays: @NetworkActor @Sendable (NodeID) -> [Address]
        /// Whether connections may leave relays at all; they change from relay to relay without it too.
        package var usesStraightPaths: Bool
        /// Whether a dead path may be left for a relay.
        package var usesRelays: Bool
        /// Those relays that the user has named, as of a peer: their word about where that peer is counts.
        package var chosenRelays: @NetworkActor @Sendable (NodeID) -> [Address] = { _ in [] }
        /// Opens a socket besides the node's own, at a free port of IPv4; `nil` where ports are not to be guessed.
        package var openSocket: (@NetworkActor @Sendable () throws -> any PacketDriver)?
        /// The most of these at once.
        package var socketLimit = BirthdayMachine.socketCount
        /// Whether anything waits for a session but what stays open on it for ever.
        package var isWaitedFor: @NetworkActor @Sendable (Session) -> Bool = { _ in true }
        /// A secret of this machine, or of the part of it that shares its loopback interface; never sent.
        package var hostMark: [UInt8]

        package init(
            interfaces: @escaping @NetworkActor @Sendable () -> [InterfaceAddress],
            observers: @escaping @NetworkActor @Sendable () -> [SocketAddress] = { [] },
            relays: @escaping @NetworkActor @Sendable (NodeID) -> [Address] = { _ in [] },
            usesStraightPaths: Bool = true, usesRelays: Bool = true, hostMark: [UInt8]
        ) {
            (self.usesStraightPaths, self.usesRelays) = (usesStraightPaths, usesRelays)
            (self.interfaces, self.observers, self.relays) = (interfaces, observers, relays)
            self.hostMark = hostMark
        }
    }

    /// Ports that gateways forward to this node: whoever maps some adds what gives their addresses.
    package var mappedAddresses: [@NetworkActor () -> [SocketAddress]] = []
    /// Where strangers have got through to this node.
    package var verifiedAddresses: @NetworkActor () -> [SocketAddress] = { [] }
    let connections: Connections
    let endpoint: Endpoint
    let relays: RelayClient
    let surroundings: Surroundings
    let observer: AddressObserver
    /// Shared by all connections.
    var budget = ProbeBudget()
    let stun: STUNService
    /// How often the NAT is asked what it gives out at present: rounds are the peers' to begin, as often as they like.
    private var sequences = TokenBucket(rate: 1, burst: 4)
    /// How often observers are asked for the sake of a circuit that nothing has come by yet: strangers make them too.
    private var looksAhead = TokenBucket(rate: 1, burst: 4)
    var gate = BirthdayGate()
    let prover: AddressProver
    /// How this node's NAT gives out ports, as far as observers have shown it lately.
    private(set) var mapping: MappedPorts?
    private var links: [UInt64: PunchLink] = [:]
    /// Of those that probe; the others are in ``unnamed``.
    private var linksByName: [UInt64: PunchLink] = [:]
    private var unnamed: [UInt64: PunchLink] = [:]
    private var accepted: [UInt64: AcceptedWatch] = [:]
    private var words: Task<Void, Never>?
    private(set) var isStopped = false

    package init(
        _ connections: Connections, endpoint: Endpoint, stun: STUNService, relays: RelayClient,
        surroundings: Surroundings
    ) {
        self.connections = connections
        self.endpoint = endpoint
        self.relays = relays
        self.surroundings = surroundings
        observer = AddressObserver(endpoint, stun: stun)
        prover = AddressProver(endpoint, stun: stun)
        self.stun = stun
    }

    var clock: any NetworkClock { connections.clock }

    package func start() {
        if surroundings.usesStraightPaths { serve() }
        relays.carryOn = { [weak self] connection, end in
            guard let self, let session = connections.sessions.first(where: { $0.connection === connection }) else {
                return false
            }
            return link(of: session)?.relayEnded(end) ?? false
        }
        relays.onSilence = { [weak self] leg in
            for link in self?.links.valuesInOrder ?? [] where leg.circuit(of: link.connection.path) != nil {
                link.relayFellSilent()
            }
        }
        relays.onCircuit = { [weak self] in self?.lookAhead() }
        connections.onSession { [weak self] session in
            if session.isInitiator { self?.link(of: session)?.keep() } else { self?.watch(session) }
        }
        // Who says where it is, and whose word it is, can make a better path known.
        connections.onIdentified { [weak self] in self?.links[$0.id]?.hope() }
        connections.onAdmission { [weak self] in self?.links[$0.id]?.hope() }
    }

    private func serve() {
        takeProbes()
        connections.registry.register(
            Self.id,
            deadline: .within(PunchLink.roundDeadline * 2 + BirthdayMachine.deadline(PunchLink.longestRoundTrip))
        ) {
            [weak self] session, stream in
            guard let link = self?.link(of: session) else { throw SessionError(.unsupported) }
            try await link.serve(stream)
        }
    }

    /// Ends every round; paths stay as they are.
    package func stop() {
        isStopped = true
        words?.cancel()
        for link in links.valuesInOrder { link.stop() }
        for watch in accepted.values { watch.stop() }
        (links, accepted) = ([:], [:])
        (linksByName, unnamed) = ([:], [:])
    }

    /// The network has changed: what was found out about it no longer holds, and what failed may work now.
    package func networkChanged() {
        observer.forget()
        mapping = nil
        for link in links.valuesInOrder {
            link.trial?.stop()
            link.encourage()
        }
        guard surroundings.usesStraightPaths, !isStopped else { return }
        words?.cancel()
        words = networkTask { [weak self, clock] in
            for pause in Self.wordPauses {
                // Time itself: until the packets before have been lost, or the route to the others is there.
                do { try await clock.sleep(for: pause) } catch { return }
                self?.tellOfMove()
            }
        }
    }

    /// Those who dialled this node hear nothing that it sends from another address, and can't follow unless it tells.
    private func tellOfMove() {
        for session in connections.sessions where !session.isInitiator && session.path.peerAddress != nil {
            link(of: session)?.tellOfMove()
        }
    }

    /// The streams of rounds under way on `session`: nothing that a stopping node has to wait for.
    package func streamCount(on session: Session) -> Int { links[session.id]?.streamCount ?? 0 }

    // MARK: Links

    private func link(of session: Session) -> PunchLink? {
        if let link = links[session.id] { return link }
        guard !isStopped, session.isOpen else { return nil }
        let link = PunchLink(session, of: self)
        links[session.id] = link
        accepted.removeValue(forKey: session.id)?.stop()
        unnamed[session.id] = link
        session.onEnd { [weak self, weak link] session, _ in
            link?.stop()
            link?.closeSockets()
            guard let self else { return }
            links[session.id] = nil
            if unnamed.removeValue(forKey: session.id) == nil, let link { linksByName[link.name] = nil }
        }
        return link
    }

    /// A link watches closely; until there is one, for nothing that comes at all.
    private func watch(_ session: Session) {
        guard surroundings.usesStraightPaths, !isStopped else { return }
        accepted[session.id] = AcceptedWatch(session, keepAlive: endpoint.configuration.keepAlive) {
            [weak self] session in
            self?.accepted[session.id] = nil
            self?.link(of: session)?.tellOfStall()
        }
        session.onEnd { [weak self] session, _ in self?.accepted.removeValue(forKey: session.id)?.stop() }
    }

    // MARK: Candidates

    /// Where this node may be reached straight.
    ///
    /// - Parameters:
    ///   - isDoubting: whether a round came to nothing that was made with what is known.
    ///   - patience: how long observers may take where that is long.
    func candidates(isDoubting: Bool = false, within patience: Duration = .zero) async -> [Candidate] {
        let observers = observers
        let observations = await observer.observations(of: observers, within: patience)
        mapping = PortPrediction.mapping(observations)
        let own = surroundings.interfaces().map { Candidate(.interface, $0.address) }
        let mapped = mappedAddresses.flatMap { $0() }.map { Candidate(.mapped, $0) }
        var seen = PortPrediction.candidates(observations)
        if seen.contains(where: { $0.kind == .predicted }) || isDoubting && PortPrediction.mayCount(observations) {
            let present = await presentSequence(observers, as: Set(seen.map(\.address.ip)))
            // What it gave the peer in the round before comes before what it gives out now.
            let runs = isDoubting ? present.reversed() : present
            if !present.isEmpty { seen = seen.filter { $0.kind != .predicted } + runs }
        }
        let observed = seen.filter { candidate in
            candidate.kind == .predicted || !(own + mapped).contains { $0.address == candidate.address }
        }
        // A port forwarded by hand is seen by nobody where the NAT gives others to what goes out.
        let forwarded = verifiedAddresses().map { Candidate(.mapped, $0) }.filter { candidate in
            !(own + mapped + observed).contains { $0.kind != .predicted && $0.address == candidate.address }
        }
        // Loopback last, and only what is left of the limit: few peers are on this machine.
        let loopback = own.filter { $0.address.ip.isLoopback }
        return own.filter { !$0.address.ip.isLoopback } + mapped + forwarded + observed + loopback
    }

    private var observers: [SocketAddress] {
        var unique: [SocketAddress] = []
        for address in relays.observers + surroundings.observers() where !unique.contains(address) {
            unique.append(address)
        }
        return unique
    }

    /// A circuit is about to carry a connection, which a round begins with: by then the observers have answered.
    private func lookAhead() {
        guard surroundings.usesStraightPaths, !isStopped, looksAhead.takeNow(now: clock.now) else { return }
        networkTask { [weak self] in
            guard let self else { return }
            _ = await observer.observations(of: observers)
        }
    }

    /// The ports that the NAT gives out next, from what it gives two sockets that are opened now: one that counts has counted
    /// on since observers were first asked.
    ///
    /// - Parameter ips: where observers see this node; what is seen elsewhere counts for nothing.
    private func presentSequence(_ observers: [SocketAddress], as ips: Set<IPAddress>) async -> [Candidate] {
        guard let observer = observers.first(where: { $0.ip.family == .v4 }),
            sequences.takeNow(now: connections.clock.now)
        else { return [] }
        let sockets = openSockets(Self.sequenceSockets)
        defer { for socket in sockets { endpoint.removeSocket(socket) } }
        var seen: [PortPrediction.Observation] = []
        for socket in sockets {
            let mapped = await traced(awaiting: "the NAT's present port") {
                try await self.prover.mapped(socket, by: observer)
            }
            guard let mapped, ips.contains(mapped.ip) else { return [] }
            seen.append(PortPrediction.Observation(observer: observer, mapped: mapped))
        }
        return PortPrediction.candidates(seen).filter { $0.kind == .predicted }
    }

    /// What the peer is told of `candidates`.
    func told(_ candidates: [Candidate], to voucher: AddressRule.Voucher) -> [Candidate] {
        let rule = rule
        return Array(candidates.filter { rule.tells($0.address.ip, to: voucher) }.prefix(Candidate.limit))
    }

    var rule: AddressRule { AddressRule(interfaces: surroundings.interfaces()) }

    // MARK: Guessing

    /// Whether a trial may begin now, for any connection.
    ///
    /// - Parameter isServed: of those that others made.
    func mayGuess(isServed: Bool) -> Bool {
        !isStopped && surroundings.openSocket != nil && gate.isOpen(isServed: isServed, now: clock.now)
    }

    /// Who is believed about where `peer` is: a relay that this node's user has chosen, best one that it is connected with,
    /// else at an address that was named, since it may be connected over IPv6.
    func witness(for peer: NodeID) -> SocketAddress? {
        let chosen = surroundings.chosenRelays(peer).filter { $0.nodeID != peer }
        let known = relays.observers(of: Set(chosen.compactMap(\.nodeID))) + chosen.compactMap(\.udpAddress)
        return known.first { $0.ip.family == .v4 }
    }

    /// Many sockets, as far as they can be had.
    func openSockets(_ count: Int = BirthdayMachine.socketCount) -> [SocketAddress] {
        guard let open = surroundings.openSocket, !isStopped else { return [] }
        var opened: [SocketAddress] = []
        // Those that are kept of earlier trials count.
        while opened.count < count, endpoint.furtherSocketCount < surroundings.socketLimit {
            guard let socket = traced("a socket to be met at", { try open() }), let local = endpoint.addSocket(socket)
            else { break }
            opened.append(local)
        }
        return opened
    }

    // MARK: Datagrams

    private func takeProbes() {
        endpoint.datagrams.take(.pathProbe) { [weak self] datagram in
            guard let self, let link = ProbePacket.link(of: datagram.bytes) else { return }
            // A peer's first probe may be a connection's first.
            if linksByName[link] == nil { unnamed.valuesInOrder.forEach(name) }
            linksByName[link]?.receive(datagram)
        }
    }

    /// Probes can come for `link` from now on.
    func name(_ link: PunchLink) {
        guard let id = link.session?.id, unnamed.removeValue(forKey: id) != nil else { return }
        linksByName[link.name] = link
    }
}
