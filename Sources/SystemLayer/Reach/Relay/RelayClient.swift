package import DeP2PIdentity
package import DeP2PQUIC
package import DeP2PReactor
package import DeP2PSessions

/// A node's use of relays: keeps its reservations, makes circuits to others, takes those made to it.
///
/// Calling order: make it, ``serve(service:)``, ``use(_:)`` for each relay, ``stop()``. Which relay is asked when is
/// ``ReservationMachine``'s to decide.
@NetworkActor
package final class RelayClient {
    package typealias Standing = RelayReservation
    package typealias Event = RelayEvent

    /// What a relay serves.
    package nonisolated static let protocolID = RelayProtocol.id
    /// What a relay of the realm lists to its members.
    package nonisolated static let realmProtocolID = RelayProtocol.realmID
    /// How long a relay may take to answer: it has to ask the target within its own deadline.
    package nonisolated static let requestDeadline = Duration.seconds(8)
    /// How long a relay's answer to this node's proof is waited for before it is asked for anything.
    nonisolated static let proofPatience = Duration.milliseconds(100)
    /// How long a relay itself may take to be connected with, all ways together: less than one attempt of a connect may
    /// take, so that its own attempts are told.
    package nonisolated static let dialDeadline = Duration.seconds(5)
    package nonisolated static let reserveDeadline = Duration.seconds(4)
    /// The same for one that may be back any moment, unless eight round trips are longer: packets that are repeated ever
    /// more seldom find that out late.
    nonisolated static let returnDeadline = Duration.seconds(1)

    @NetworkActor
    struct Relay {
        /// As the user names it first; the other ways to it are the peer store's: one relay, however many addresses.
        var address: Address
        var session: Session?
        var terms: RelayTerms?
        /// By the user; and whether a member of the realm offers it.
        var isNamed = true
        var isOfRealm = false
        /// Where one that the user does not name is: what members say fills no place of what the user does.
        var offered: [Address] = []
        /// The last that was seen.
        var roundTrip: Duration?
        /// Why it granted nothing, as that was told.
        var refusal: String?

        var isOverTCP: Bool { session?.path.tcpPeer != nil }
    }

    /// Ways to one relay at most.
    static let waysPerRelay = 8

    /// The node's own.
    package var onEvent: (@NetworkActor (Event) -> Void)?
    /// Called when the addresses through relays are others than before.
    package var onAddressChange: (@NetworkActor () -> Void)?
    /// The reservations that stand are others than before, or there are none to wait for any more.
    package let changes: Signal
    /// Whether to take a circuit from that node.
    package var accepts: @NetworkActor (NodeID) -> Bool = { _ in true }
    /// Whether only members are worth a circuit to this node: others' end within seconds.
    package var wantsMembersOnly: @NetworkActor () -> Bool = { false }
    let connections: Connections
    let dialer: Dialer
    let endpoint: Endpoint
    let inbound: InboundCircuits
    /// What clients of this node ask, when it is a relay too.
    package weak var service: RelayService?
    var relays: [Relay] = []
    let driver: MachineDriver<ReservationMachine>
    private(set) var legs: [UInt64: RelayLeg] = [:]
    /// The circuit by which a connection is relayed, whichever path it takes now.
    private var circuits: [ObjectIdentifier: CircuitWay] = [:]
    /// Takes a connection whose circuit has ended, to bring it onto another path; otherwise it is closed.
    var carryOn: (@NetworkActor (any SecureConnection, CircuitEnd) -> Bool)?
    /// Called when a circuit is asked for, or taken.
    var onCircuit: (@NetworkActor () -> Void)?
    /// When relays are chosen anew.
    let choiceTimer: WakeTimer
    /// Of the sessions with relays: whether these are there.
    var watches: [UInt64: RelayWatch] = [:]
    /// Called when a relay does not answer any more that connections are relayed by.
    var onSilence: (@NetworkActor (RelayLeg) -> Void)?
    var tasks: [Int: Task<Void, Never>] = [:]
    /// The ports at which relays listen over UDP that are reached over TCP, by their sessions.
    var observerPorts: [UInt64: [UInt16]] = [:]
    /// Looks whether UDP works again, while a relay is reached over TCP.
    var udpWatch: Task<Void, Never>?

    /// - Parameter dialer: what `connections` dials with.
    package init(_ connections: Connections, dialer: Dialer, endpoint: Endpoint) {
        self.connections = connections
        self.dialer = dialer
        self.endpoint = endpoint
        inbound = InboundCircuits(clock: connections.clock)
        driver = MachineDriver(ReservationMachine(), clock: connections.clock)
        choiceTimer = WakeTimer(connections.clock)
        changes = Signal(connections.clock)
        driver.carryOut = { [weak self] in self?.carryOut($0) }
        choiceTimer.onWake = { [weak self] in self?.choose() }
        inbound.onEnd = { [weak self] circuit in self?.ended(circuit.id, circuit.leg, .unused) }
        inbound.isWanted = { [weak self] session in session.isAdmitted || self?.wantsMembersOnly() != true }
    }

    var clock: any NetworkClock { connections.clock }
    var machine: ReservationMachine { driver.machine }

    /// Takes what relays ask of this node, and what clients ask of ``service``.
    package func serve(service: RelayService? = nil) {
        self.service = service
        RelayProtocol.serve(on: connections, service: nil, client: self)
        connections.onSession { [weak self] session in
            self?.reached(session)
            guard !session.isInitiator else { return }
            self?.inbound.took(session, path: session.path)
            session.onPathChange { [weak self, weak session] path in
                if let session { self?.inbound.took(session, path: path) }
            }
        }
    }

    /// Makes the node's connects use relays too.
    package func dialThroughRelays() {
        dialer.relayDial = { [weak self] relay, target in
            guard let self else { throw CancellationError() }
            do {
                return try await connect(to: target, viaAny: relay)
            } catch let error as RelayError {
                throw TransportFailure(error)
            }
        }
    }

    /// The reservations that stand, best first.
    package var standing: [Standing] { machine.standing.compactMap(standing) }

    func standing(_ index: Int) -> Standing? {
        guard let terms = relays[index].terms, let relay = relays[index].address.nodeID else { return nil }
        let own = connections.localNodeID
        let addresses = ways(of: index).compactMap { way in
            // What is no address through a relay is no way.
            try? Address(components: way.components + [.p2pCircuit, .p2p(own)])
        }
        return addresses.isEmpty ? nil : Standing(relay: relay, addresses: addresses, terms: terms)
    }

    /// Keeps a reservation with `relay`, or has it ready to take the place of another. Addresses that name the same
    /// relay are ways to one.
    package func use(_ relay: Address) {
        if let index = relays.firstIndex(where: { $0.address.nodeID == relay.nodeID && relay.nodeID != nil }) {
            add(way: relay, to: index, as: .relay)
            relays[index].isNamed = true
            driver.handle { $0.restore(index, now: $1) }
            return
        }
        if relays.count == ReservationMachine.relayLimit, let index = vacantPlace {
            connections.peers.give(relay, as: .relay)
            relays[index] = Relay(address: relay)
            return driver.handle { $0.restore(index, now: $1) }
        }
        guard relays.count < ReservationMachine.relayLimit else { return }
        connections.peers.give(relay, as: .relay)
        relays.append(Relay(address: relay))
        driver.handle { $0.add(now: $1) }
    }

    func add(way: Address, to index: Int, as origin: AddressOrigin) {
        guard ways(of: index).count < Self.waysPerRelay else { return }
        if relays[index].isNamed {
            connections.peers.give(way, as: origin)
        } else if !relays[index].offered.contains(way) {
            relays[index].offered.append(way)
        }
    }

    /// The ways to a relay, those that the user names first.
    func ways(of index: Int) -> [Address] {
        let address = relays[index].address
        let given = address.nodeID.map(ways(toRelay:)) ?? []
        let known = given + relays[index].offered.filter { !given.contains($0) }
        return known.isEmpty ? [address] : known
    }

    func ways(toRelay relay: NodeID) -> [Address] {
        connections.peers.book.given(of: relay) { $0 == .relay }
            + connections.peers.book.given(of: relay) { $0 == .derived }
    }

    /// Every way to the relay at `addresses` that is known.
    func ways(to addresses: [Address]) -> [Address] {
        guard let relay = addresses.first?.nodeID else { return addresses }
        let ways = addresses + ways(toRelay: relay).filter { !addresses.contains($0) }
        let listed = connections.peers.book.listed(of: relay)
        return ways + Self.tcpWays(listed: listed, known: ways) + Self.udpWays(listed: listed, known: ways)
    }

    /// Whether a relay is reached by `session`.
    package func isRelay(_ session: Session) -> Bool { relays.contains { $0.session === session } }

    /// Whether a relay that the user named is.
    package func isNamedRelay(_ session: Session) -> Bool { relays.contains { $0.isNamed && $0.session === session } }

    /// Asks the relays that have failed again at once.
    package func retry() { driver.handle { $0.retry(now: $1) } }

    /// Whether a reservation may still come.
    package var isTrying: Bool { !relays.isEmpty && !driver.isStopped }

    /// The circuits that `session` carries: a stream each.
    package func circuitCount(on session: Session) -> Int { legs[session.id]?.circuitCount ?? 0 }

    package func stop() {
        driver.note { machine, _ in machine.stop() }
        driver.stop()
        for task in tasks.valuesInOrder { task.cancel() }
        choiceTimer.set(nil)
        for watch in watches.values { watch.stop() }
        watches = [:]
        changes.send()
        udpWatch?.cancel()
        inbound.stop()
    }

    /// Where the relays that this node is connected with answer STUN.
    package var observers: [SocketAddress] { observers { _ in true } }

    /// Those of them that are these nodes.
    func observers(of nodes: Set<NodeID>) -> [SocketAddress] { observers(where: nodes.contains) }

    private func observers(where isWanted: (NodeID) -> Bool) -> [SocketAddress] {
        let sessions = relays.compactMap(\.session).map { ($0.id, $0.remoteNodeID, $0.path) }
        let carriers = legs.sorted { $0.key < $1.key }.map { ($0.key, $0.value.relayID, $0.value.connection.path) }
        var found: [SocketAddress] = []
        for (id, node, path) in sessions + carriers where isWanted(node) {
            for address in observers(id, path) where !found.contains(address) { found.append(address) }
        }
        return found
    }

    /// Addresses or routes of this machine have changed: relays that failed may be there now, the others have to learn
    /// where this node is.
    package func networkChanged() {
        nudge()
        retry()
    }

    /// Has the relays learn where this node is now, soon, and finds out whether they are still there.
    func nudge() {
        for relay in relays { relay.session?.connection.nudge() }
        for watch in watches.valuesInOrder { watch.doubt() }
    }

    /// What `connection` sends over its relay is not acknowledged: it may be that the relay does not hear this node any more, which
    /// hears it.
    func doubt(_ connection: any SecureConnection) {
        let carrier = legs.first { $0.value.circuit(of: connection.path) != nil }?.key
        carrier.flatMap { watches[$0] }?.doubt()
    }

    /// Fresh addresses of the circuit that `connection` is relayed by, to come back to it; `nil` when it is gone.
    func wayBack(for connection: any SecureConnection) -> (ends: RelayLeg.Ends, leg: RelayLeg)? {
        guard let way = circuits[ObjectIdentifier(connection)], let ends = way.renew() else { return nil }
        return (ends, way.leg)
    }

    /// Whether `connection` is on the circuit that it is relayed by now, and on no straight path.
    func isOnItsWay(_ connection: any SecureConnection) -> Bool {
        guard let way = circuits[ObjectIdentifier(connection)] else { return false }
        return way.leg.circuit(of: connection.path) == way.circuit
    }

    /// How long an answer takes by the circuit that `connection` is on.
    func roundTrip(of connection: any SecureConnection) -> Duration? {
        let path = connection.path
        return legs.values.lazy.compactMap { $0.roundTrip(of: path) }.first
    }

    /// The relay by which `connection` is or was relayed, whether or not this node is connected with it now.
    func relay(of connection: any SecureConnection) -> (relay: NodeID, addresses: [Address])? {
        circuits[ObjectIdentifier(connection)].map { ($0.leg.relayID, $0.relayAddresses) }
    }

    /// The connection is relayed by `way` from now on; the circuit before it ends.
    func adopt(_ way: CircuitWay, for connection: any SecureConnection) {
        let key = ObjectIdentifier(connection)
        if let earlier = circuits.updateValue(way, forKey: key) { return earlier.end() }
        // At once when it has ended by now.
        connection.setCloseHandler { [weak self] _ in self?.circuits.removeValue(forKey: key)?.end() }
    }

    /// The connection goes straight now: the relay has the place back, and is asked for another when it is needed. Who is
    /// connected with the relay for nothing else leaves it, but where an application holds that connection.
    func giveBack(_ connection: any SecureConnection) {
        guard let way = circuits[ObjectIdentifier(connection)], way.leg.circuitCount > 0 else { return }
        way.end()
        let carrier = legs.first { $0.value === way.leg }?.key
        if let session = carrier.flatMap({ connections.session(id: $0) }) { leaveLater(session) }
    }

    /// Leaves the relay that `session` leads to, where nothing needs that any more by then.
    func leaveLater(_ session: Session) {
        _ = clock.schedule(after: Self.parting) { [weak self, weak session] in
            guard let self, let session, session.isOpen, session.isInitiator, session.openStreamCount == 0,
                !isHeld(session), !connections.isProtected(session.remoteNodeID)
            else { return }
            session.close(.normal)
        }
    }

    /// How long a relay stays connected that was only needed to reach somebody: a straight path that does not last is left
    /// soon.
    nonisolated static let parting = Duration.seconds(30)

    /// Whether relayed frames ride on the session: it can't be relayed itself then.
    func carriesCircuits(_ session: Session) -> Bool { legs[session.id] != nil || isRelay(session) }

    // MARK: Exchanges

    /// Sends a request on a stream of its own and waits for the reply; the stream stays open.
    func exchange(
        _ request: RelayMessage, on session: Session
    ) async throws -> (stream: NegotiatedStream, reader: FrameReader, reply: RelayMessage) {
        // A relay of the realm wants the proof first; without a realm nothing is waited for. One of another realm takes its
        // time to say so, and may serve everyone.
        _ = await session.waitForMembership(atMost: Self.proofPatience)
        let stream = try await session.openStream(RelayProtocol.id)
        let reader = FrameReader(stream, limit: RelayMessage.limit)
        do {
            let reply = try await clock.withDeadline(Self.requestDeadline) {
                try await stream.write(request)
                return try await reader.nextMessage()
            }
            guard let reply else { throw RelayError(.malformed) }
            if case .circuit = reply { return (stream, reader, reply) }
            Self.end(stream)
            return (stream, reader, reply)
        } catch let error as RelayError {
            stream.reset(StreamCode.violation.rawValue)
            throw error
        } catch {
            stream.reset(StreamCode.cancelled.rawValue)
            let error = SessionError(error, on: session)
            throw error.code == .unsupported ? RelayError(.notARelay) : error
        }
    }

    static func end(_ stream: NegotiatedStream) {
        stream.finish()
        stream.stopReading(StreamCode.done.rawValue)
    }

    // MARK: Ends of circuits

    func ended(_ id: UInt64, _ leg: RelayLeg, _ end: CircuitEnd) {
        // A connection that has moved to a better path meanwhile is not touched.
        let connections = leg.connections(on: id)
        for connection in connections where carryOn?(connection, end) != true {
            connection.close(code: CloseCode.relayEnded.rawValue, reason: "\(end)")
        }
        if !connections.isEmpty { onEvent?(.circuitEnded(relay: leg.relayID, end)) }
        leg.close(id)
    }

    func leg(of session: Session) -> RelayLeg? {
        if let leg = legs[session.id] { return leg }
        guard let connection = session.connection.carrier, session.isOpen else { return nil }
        let leg = RelayLeg(connection)
        legs[session.id] = leg
        watch(session).leg = leg
        if observerPorts[session.id] == nil { learnObserver(from: session) }
        session.onEnd { [weak self] session, _ in self?.legs[session.id] = nil }
        return leg
    }
}
