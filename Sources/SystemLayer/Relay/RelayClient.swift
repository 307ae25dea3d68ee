public import Identity
public import QUIC

/// A node's use of relays: keeps its reservations, makes circuits to others, takes those made to it.
///
/// Calling order: make it, ``serve(service:)``, ``use(_:)`` for each relay, ``stop()``. Which relay is asked when is
/// ``ReservationMachine``'s to decide.
@NetworkActor
public final class RelayClient {
    /// A reservation that stands.
    public struct Standing: Hashable, Sendable {
        public let relay: NodeID
        /// Where this node is reached through it.
        public let address: Address
        public let terms: RelayTerms
    }

    public enum Event: Hashable, Sendable {
        case reserved(Standing)
        case lost(Address)
        case refused(Address, String)
        /// A circuit ended while a connection ran over it.
        case circuitEnded(relay: NodeID, CircuitEnd)
    }

    /// How long a relay may take to answer: it has to ask the target within its own deadline.
    public nonisolated static let requestDeadline = Duration.seconds(8)
    public nonisolated static let reserveDeadline = Duration.seconds(4)
    /// Beyond the keep-alive, how long nothing may come from a relay before another is asked.
    public nonisolated static let silence = Duration.seconds(1)

    private struct Relay {
        let address: Address
        var session: Session?
        var standing: Standing?
        var heardBytes: UInt64 = 0
        var heardAt: NetworkInstant
    }

    public var onEvent: (@NetworkActor (Event) -> Void)?
    /// Whether to take a circuit from that node.
    public var accepts: @NetworkActor (NodeID) -> Bool = { _ in true }
    private let connections: Connections
    private let endpoint: Endpoint
    private var relays: [Relay] = []
    private var machine = ReservationMachine()
    private var legs: [UInt64: RelayLeg] = [:]
    private var timer: TimerToken?
    private var watch: TimerToken?
    private var tasks: [Int: Task<Void, Never>] = [:]

    public init(_ connections: Connections, endpoint: Endpoint) {
        self.connections = connections
        self.endpoint = endpoint
    }

    private var clock: any NetworkClock { connections.clock }

    /// Takes what relays ask of this node; `service` takes what clients ask, when it is a relay too.
    public func serve(service: RelayService? = nil) {
        RelayProtocol.serve(on: connections, service: service, client: self)
    }

    /// Makes the node's connects use relays too.
    public func dialThroughRelays() {
        connections.setRelayDial { [weak self] relay, target in
            guard let self else { throw CancellationError() }
            return try await connect(to: target, via: relay)
        }
    }

    /// The reservations that stand, best first.
    public var standing: [Standing] { machine.standing.compactMap { relays[$0].standing } }

    /// Keeps a reservation with `relay`, or has it ready to take the place of another.
    public func use(_ relay: Address) {
        guard relays.count < ReservationMachine.relayLimit, !relays.contains(where: { $0.address == relay }) else {
            return
        }
        relays.append(Relay(address: relay, heardAt: clock.now))
        carryOut(machine.add(now: clock.now))
    }

    /// Asks the relays that have failed again at once.
    public func retry() { carryOut(machine.retry(now: clock.now)) }

    /// Whether a reservation may still come.
    public var isTrying: Bool { !relays.isEmpty }

    /// The circuits that `session` carries: a stream each.
    public func circuitCount(on session: Session) -> Int { legs[session.id]?.circuitCount ?? 0 }

    public func stop() {
        machine.stop()
        for task in tasks.values { task.cancel() }
        for token in [timer, watch] { token.map(clock.cancel) }
    }

    // MARK: Reservations

    private func carryOut(_ actions: [ReservationMachine.Action]) {
        for action in actions {
            if case .reserve(let index) = action { reserve(index) }
        }
        timer.map(clock.cancel)
        timer = machine.wake.map { instant in
            clock.schedule(at: instant) { [weak self] in
                guard let self else { return }
                carryOut(machine.timerFired(now: clock.now))
            }
        }
        watchSilence()
    }

    private func reserve(_ index: Int) {
        let address = relays[index].address
        tasks[index] = networkTask { [weak self, clock] in
            do {
                let (session, time, terms) = try await clock.withDeadline(Self.reserveDeadline) {
                    guard let self else { throw CancellationError() }
                    return try await self.ask(address)
                }
                self?.granted(index, session, time, terms)
            } catch {
                guard let self, !Task.isCancelled else { return }
                tasks[index] = nil
                onEvent?(.refused(address, "\(error)"))
                carryOut(machine.failed(index, now: clock.now))
            }
        }
    }

    private func ask(_ relay: Address) async throws -> (Session, Duration, RelayTerms) {
        let session = try await connections.connect(to: DialTarget(addresses: [relay]))
        switch try await exchange(.reserve, on: session).reply {
        case .reservation(let time, let terms): return (session, time, terms)
        case .refusal(let error): throw error
        default: throw RelayError(.malformed)
        }
    }

    private func granted(_ index: Int, _ session: Session, _ time: Duration, _ terms: RelayTerms) {
        tasks[index] = nil
        guard session.isOpen else { return carryOut(machine.failed(index, now: clock.now)) }
        if relays[index].session !== session {
            relays[index].session = session
            session.onEnd { [weak self] session, _ in self?.sessionEnded(session, index) }
        }
        relays[index].heardAt = clock.now
        let relay = session.remoteNodeID
        let components = relays[index].address.with(nodeID: relay).components
        let isNew = !machine.isHeld(index)
        if let address = try? Address(components: components + [.p2pCircuit, .p2p(connections.localNodeID)]) {
            relays[index].standing = Standing(relay: relay, address: address, terms: terms)
        }
        carryOut(machine.granted(index, time: time, now: clock.now))
        if isNew, let standing = relays[index].standing { onEvent?(.reserved(standing)) }
    }

    private func sessionEnded(_ session: Session, _ index: Int) {
        guard relays[index].session === session else { return }
        relays[index].session = nil
        let wasHeld = machine.isHeld(index)
        carryOut(machine.lost(index, now: clock.now))
        if wasHeld { onEvent?(.lost(relays[index].address)) }
    }

    /// Looks at what has come from the relays: with the keep-alive's answers, something has to.
    private func watchSilence() {
        guard watch == nil, !machine.standing.isEmpty else { return }
        watch = clock.schedule(after: Self.silence / 2) { [weak self] in
            guard let self else { return }
            watch = nil
            let now = clock.now
            var actions: [ReservationMachine.Action] = []
            for index in machine.standing {
                guard let received = relays[index].session?.quicConnection?.statistics.bytesReceived else { continue }
                if received != relays[index].heardBytes {
                    relays[index].heardBytes = received
                    relays[index].heardAt = now
                    machine.heard(index)
                } else if now.duration(since: relays[index].heardAt) > endpoint.configuration.keepAlive + Self.silence {
                    actions += machine.silent(index, now: now)
                }
            }
            carryOut(actions)
        }
    }

    // MARK: Exchanges

    /// Sends a request on a stream of its own and waits for the reply; the stream stays open.
    private func exchange(
        _ request: RelayMessage, on session: Session
    ) async throws -> (stream: NegotiatedStream, reader: FrameReader, reply: RelayMessage) {
        // A relay of the realm wants the proof first; without a realm nothing is waited for.
        _ = await session.waitForMembership()
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

    private static func end(_ stream: NegotiatedStream) {
        stream.finish()
        stream.stopReading(StreamCode.done.rawValue)
    }

    // MARK: Circuits

    /// Makes a circuit to `target` and a connection over it.
    ///
    /// - Parameter relay: its address; a connection to it that is open is used.
    /// - Throws: ``RelayError``, `QUICError`, ``ConnectError`` for the relay itself, ``SessionError``.
    public func connect(to target: NodeID, via relay: Address) async throws -> any SecureConnection {
        let session = try await connections.connect(to: DialTarget(addresses: [relay]))
        let (stream, reader, reply) = try await exchange(.connect(target), on: session)
        switch reply {
        case .refusal(let error): throw error
        case .circuit(let grant):
            do {
                return try await dial(target, grant, session, stream, reader)
            } catch {
                Self.end(stream)
                throw error
            }
        default: throw RelayError(.malformed)
        }
    }

    private func dial(
        _ target: NodeID, _ grant: CircuitGrant, _ session: Session, _ stream: NegotiatedStream, _ reader: FrameReader
    ) async throws -> Connection {
        guard let leg = leg(of: session), let ends = leg.open(grant.id, datagramSize: grant.datagramSize) else {
            throw RelayError.limit("circuits through one relay", RelayLeg.circuitLimit)
        }
        do {
            let connection = try await endpoint.connect(
                to: ends.remote, from: ends.local, kind: .relay(leg.relayID), expecting: target)
            connection.onClose.append { _ in
                leg.close(grant.id)
                Self.end(stream)
            }
            networkTask { [weak self] in
                self?.ended(grant.id, leg, await reader.circuitEnd())
            }
            return connection
        } catch {
            leg.close(grant.id)
            throw error
        }
    }

    /// Takes a circuit that a relay brings: only one that this node reserved with.
    func accept(
        _ source: NodeID, _ grant: CircuitGrant, from session: Session, _ stream: NegotiatedStream,
        _ reader: FrameReader
    ) async throws {
        let isReserved = machine.standing.contains { relays[$0].session === session }
        guard isReserved, accepts(source), let leg = leg(of: session),
            leg.open(grant.id, datagramSize: grant.datagramSize) != nil
        else { return try await stream.write(.answer(false)) }
        defer { leg.close(grant.id) }
        try await stream.write(.answer(true))
        ended(grant.id, leg, await reader.circuitEnd())
    }

    private func ended(_ id: UInt64, _ leg: RelayLeg, _ end: CircuitEnd) {
        // A connection that has moved to a better path meanwhile is not touched.
        if leg.closeConnections(on: id, code: CloseCode.relayEnded.rawValue, reason: "\(end)") {
            onEvent?(.circuitEnded(relay: leg.relayID, end))
        }
        leg.close(id)
    }

    private func leg(of session: Session) -> RelayLeg? {
        if let leg = legs[session.id] { return leg }
        guard let connection = session.quicConnection, session.isOpen else { return nil }
        let leg = RelayLeg(connection)
        legs[session.id] = leg
        session.onEnd { [weak self] session, _ in self?.legs[session.id] = nil }
        return leg
    }
}
