internal import DeP2PIdentity
package import DeP2PQUIC
package import DeP2PReactor
package import DeP2PSessions

/// A relay: grants reservations and circuits, and has QUIC's forwarder pass their frames on.
///
/// Calling order: make it, ``serve(client:)``, ``stop()``. What it decides, ``RelayMachine`` decides.
@NetworkActor
package final class RelayService {
    @NetworkActor
    private final class LiveCircuit {
        let circuit: RelayCircuit
        let ended = Waiter<CircuitEnd>()
        /// The target while it is asked, and the stream on which it is.
        var question: (target: Session, stream: NegotiatedStream)?
        /// What it had carried at the last look.
        var carried: UInt64 = 0

        init(_ circuit: RelayCircuit) { self.circuit = circuit }
    }

    /// How often times are looked at.
    private static let sweep = Duration.seconds(1)

    /// What is granted from now on; what was granted before keeps its terms.
    package var limits: RelayLimits { didSet { machine.limits = limits } }
    /// Serves only connections that were admitted to this node's realm.
    package let membersOnly: Bool
    /// The node's own.
    package var onEvent: (@NetworkActor (RelayingEvent) -> Void)?
    private let connections: Connections
    private let forwarder: RelayForwarder
    private var machine: RelayMachine
    private var circuits: [UInt64: LiveCircuit] = [:]
    private var watched: Set<UInt64> = []
    /// The sessions by which reservations are held.
    private var holders: [NodeID: Session] = [:]
    private var timer: TimerToken?
    private var openedCircuits: UInt64 = 0
    private var refusals: UInt64 = 0
    private var isStopping = false

    package init(_ connections: Connections, endpoint: Endpoint, limits: RelayLimits, membersOnly: Bool) {
        self.connections = connections
        self.limits = limits
        self.membersOnly = membersOnly
        forwarder = endpoint.startForwarding()
        machine = RelayMachine(limits: limits)
    }

    /// Takes requests; `client` takes what other relays ask of this node, when it is a client of some too.
    package func serve(client: RelayClient? = nil) {
        RelayProtocol.serve(on: connections, service: self, client: client)
    }

    /// Members are served under a name of their own too, whose presence tells them of this relay.
    package func offer() { RelayProtocol.serve(RelayProtocol.realmID, on: connections, service: self, client: nil) }

    package func withdrawOffer() { connections.registry.unregister(RelayProtocol.realmID) }

    package var statistics: RelayStatistics {
        var statistics = RelayStatistics()
        statistics.reservations = machine.reservationCount
        statistics.circuits = circuits.count
        statistics.openedCircuits = openedCircuits
        statistics.refusals = refusals
        statistics.forwardedBytes = forwarder.forwardedBytes
        statistics.strayDatagrams = forwarder.strayDatagrams
        return statistics
    }

    /// Tells both sides of every circuit, and grants nothing more.
    package func stop() {
        isStopping = true
        timer.map(connections.clock.cancel)
        timer = nil
        for live in circuits.valuesInOrder { live.ended.resume(returning: .stopping) }
        // The node may go on without it: nothing is done for these any more.
        for session in holders.valuesInOrder { session.release() }
        holders = [:]
    }

    // MARK: Requests

    func reserve(_ session: Session, _ stream: NegotiatedStream) async throws {
        do throws(RelayError) {
            let client = try await allowed(session)
            switch machine.reserve(client, now: connections.clock.now) {
            case .refused(let error): throw error
            case .granted(let isRenewal):
                hold(session)
                onEvent?(.reserved(client.nodeID, isRenewal: isRenewal))
            }
        } catch {
            return try await refuse(error, session, stream)
        }
        startSweeping()
        try await stream.write(.reservation(time: limits.reservationTime, limits.terms))
    }

    func connect(
        _ session: Session, to target: NodeID, _ stream: NegotiatedStream, _ reader: FrameReader
    ) async throws {
        do throws(RelayError) {
            let client = try await allowed(session)
            switch machine.connect(client, to: target, now: connections.clock.now) {
            case .refused(let error): throw error
            case .ask(let number, let targetSession, let displaced):
                defer { machine.end(number) }
                if let displaced { giveWay(displaced) }
                try await run(number, session, targetSession, stream, reader)
            }
        } catch {
            try await refuse(error, session, stream)
        }
    }

    private func allowed(_ session: Session) async throws(RelayError) -> RelayMachine.Client {
        guard !isStopping else { throw RelayError(.stopping) }
        let isMember = await session.waitForMembership()
        guard isMember || !membersOnly else { throw RelayError(.notAllowed) }
        let client = RelayMachine.Client(
            nodeID: session.remoteNodeID, session: session.id, subject: session.subject, isMember: isMember)
        guard session.isOpen, !isStopping else { throw RelayError(.stopping) }
        if watched.insert(session.id).inserted {
            session.onEnd { [weak self] _, _ in self?.sessionEnded(client) }
        }
        return client
    }

    private func refuse(_ error: RelayError, _ session: Session, _ stream: NegotiatedStream) async throws {
        refusals += 1
        onEvent?(.refused(session.remoteNodeID, error))
        try await stream.write(.refusal(error))
    }

    // MARK: Circuits

    /// One circuit from the question to the target until its end.
    private func run(
        _ number: UInt64, _ session: Session, _ targetSession: UInt64, _ stream: NegotiatedStream, _ reader: FrameReader
    ) async throws(RelayError) {
        guard let other = connections.session(id: targetSession), let first = session.connection.carrier,
            let second = other.connection.carrier
        else { throw RelayError(.noReservation) }
        let data = RelayCircuit.Limits(bytes: limits.circuitBytes, bytesPerSecond: limits.circuitRate)
        guard let circuit = forwarder.open(first, second, limits: data) else {
            throw .limit(RelayLimits.Name.circuits, RelayForwarder.circuitLimit)
        }
        let live = LiveCircuit(circuit)
        circuits[number] = live
        session.commit()
        other.commit()
        defer {
            session.release()
            other.release()
            forwarder.close(circuit)
            circuits[number] = nil
        }
        startSweeping()
        guard let side = await ask(other, source: session.remoteNodeID, live) else {
            throw RelayError(.refusedByTarget)
        }
        machine.targetAccepted(number, now: connections.clock.now)
        circuit.onExhausted = { [limits] in
            let maximum = limits.circuitBytes ?? 0
            live.ended.resume(
                returning: .limit(
                    RelayLimits.Name.circuitBytes, used: circuit.forwardedBytes, maximum: maximum))
        }
        // What runs inside may be more patient than this node with its clients.
        stream.bearsSilence()
        side.stream.bearsSilence()
        openedCircuits += 1
        onEvent?(.opened(circuit: number, from: session.remoteNodeID, to: other.remoteNodeID))
        let watches = [
            networkTask { live.ended.resume(returning: await reader.circuitEnd()) },
            networkTask { [weak self] in
                let end = await side.reader.circuitEnd { self?.machine.confirm(number) }
                live.ended.resume(returning: end)
            },
        ]
        let end: CircuitEnd
        do {
            try await stream.write(.circuit(grant(circuit, id: circuit.ids.first)))
            end = try await live.ended.value()
        } catch {
            end = .closed
        }
        for watch in watches { watch.cancel() }
        onEvent?(
            .closed(
                circuit: number, from: session.remoteNodeID, to: other.remoteNodeID, bytes: circuit.forwardedBytes,
                reason: end))
        // The target in a task of its own: this one may have been cancelled with the source's session.
        networkTask { await Self.tell(side.stream, end) }
        await Self.tell(stream, end)
    }

    private func giveWay(_ displaced: RelayMachine.Displaced) {
        let limit = displaced.limit
        circuits[displaced.circuit]?.ended.resume(
            returning: .limit(limit.name, used: limit.maximum, maximum: limit.maximum))
    }

    private static func tell(_ stream: NegotiatedStream, _ end: CircuitEnd) async {
        await traced(awaiting: "telling a side of a circuit of its end") { try await stream.write(.ended(end)) }
        stream.finish()
        stream.stopReading(StreamCode.done.rawValue)
    }

    private func grant(_ circuit: RelayCircuit, id: UInt64) -> CircuitGrant {
        CircuitGrant(id: id, terms: limits.terms, datagramSize: forwarder.knownDatagramSize(circuit))
    }

    /// The target's stream, when it accepts.
    private func ask(
        _ target: Session, source: NodeID, _ live: LiveCircuit
    ) async -> (stream: NegotiatedStream, reader: FrameReader)? {
        var grant = grant(live.circuit, id: live.circuit.ids.second)
        grant.confirms = true
        var opened: NegotiatedStream?
        do {
            let stream = try await target.openStream(RelayProtocol.id)
            opened = stream
            live.question = (target, stream)
            defer { live.question = nil }
            let reader = FrameReader(stream, limit: RelayMessage.limit)
            let answer = try await connections.clock.withDeadline(limits.answerDeadline) {
                try await stream.write(.incoming(source, grant))
                return try await reader.nextMessage()
            }
            if answer == .answer(true) { return (stream, reader) }
            stream.finish()
            stream.stopReading(StreamCode.done.rawValue)
        } catch {
            opened?.reset(StreamCode.cancelled.rawValue)
        }
        return nil
    }

    // MARK: Time and ends

    private func sessionEnded(_ client: RelayMachine.Client) {
        watched.remove(client.session)
        let (ended, held) = machine.connectionClosed(client)
        if held { reservationEnded(client.nodeID) }
        for number in ended { circuits[number]?.ended.resume(returning: .closed) }
    }

    /// A session that holds a reservation is kept when others are closed.
    private func hold(_ session: Session) {
        guard holders[session.remoteNodeID] !== session else { return }
        session.commit()
        let former = holders.updateValue(session, forKey: session.remoteNodeID)
        former?.release()
        // It may have come anew because the one before is dead: who waits for its answer there asks again, and is heard.
        for case let (target, stream)? in circuits.valuesInOrder.map(\.question) where target === former {
            stream.reset(StreamCode.cancelled.rawValue)
        }
    }

    private func reservationEnded(_ nodeID: NodeID) {
        holders.removeValue(forKey: nodeID)?.release()
        onEvent?(.reservationEnded(nodeID))
    }

    private func startSweeping() {
        guard timer == nil, !isStopping, !machine.isEmpty else { return }
        timer = connections.clock.schedule(after: Self.sweep) { [weak self] in
            guard let self else { return }
            timer = nil
            lookForFrames()
            let due = machine.timerFired(now: connections.clock.now)
            for nodeID in due.expired { reservationEnded(nodeID) }
            let seconds = limits.circuitTime.map(RelayTerms.wholeSeconds) ?? 0
            for number in due.overdue {
                circuits[number]?.ended.resume(
                    returning: .limit(RelayLimits.Name.circuitTime, used: seconds, maximum: seconds))
            }
            for number in due.unused { circuits[number]?.ended.resume(returning: .unused) }
            startSweeping()
        }
    }

    private func lookForFrames() {
        for (number, live) in circuits where live.circuit.forwardedBytes != live.carried {
            let bytes = live.circuit.forwardedBytes - live.carried
            live.carried = live.circuit.forwardedBytes
            machine.carried(number, bytes: bytes, now: connections.clock.now)
        }
    }
}
