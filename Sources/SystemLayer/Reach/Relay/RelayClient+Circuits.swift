package import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReactor
package import DeP2PSessions

/// Circuits through relays: those that this node asks for, and those that are brought to it.
extension RelayClient {
    /// Makes a circuit to `target` and a connection over it.
    ///
    /// - Parameter relay: its address; a connection to it that is open is used.
    /// - Throws: ``RelayError``, `QUICError`, ``ConnectError`` for the relay itself, ``SessionError``.
    package func connect(to target: NodeID, via relay: Address) async throws -> any SecureConnection {
        try await connect(to: target, viaAny: [relay]).connection
    }

    /// As above; `relay` is all the ways to one relay.
    func connect(to target: NodeID, viaAny relay: [Address]) async throws -> RelayedConnection {
        let ways = ways(to: relay)
        let known = ways.first?.nodeID.flatMap(connections.session(with:))
        let ((way, ends), session) = try await ask(DialTarget(addresses: ways), within: Self.dialDeadline) {
            [self] session in
            try await openCircuitSoon(to: target, over: session, at: ways)
        }
        let used = ways.first { $0.isOverTCP == (session.path.tcpPeer != nil) }
        let attempts = known === session ? [] : session.attempts
        do {
            let connection = try await endpoint.connect(
                to: ends.remote, from: ends.local, kind: .relay(way.leg.relayID), expecting: target)
            // It may have ended before this task went on.
            if let end = connection.closeReason { throw QUICError(.closedByPeer, "\(end)") }
            adopt(way, for: connection)
            return RelayedConnection(connection: connection, relay: used, attempts: attempts)
        } catch {
            way.end()
            // The circuit may end while the handshake goes on: nothing is to be waited for then.
            if let end = way.ended { throw RelayError(ending: end) }
            throw error
        }
    }

    /// How long the places of circuits may be taken: who has reached its peer gives its own back.
    static let placePauses: [Duration] = [.milliseconds(500), .seconds(1), .seconds(2)]

    private func openCircuitSoon(
        to target: NodeID, over session: Session, at ways: [Address]
    ) async throws -> (way: CircuitWay, ends: RelayLeg.Ends) {
        for pause in Self.placePauses {
            do {
                return try await openCircuit(to: target, over: session, at: ways)
            } catch let error as RelayError where error.isOfPlaces {
                // Nobody tells when a place is free.
                try await clock.sleep(for: pause)
            }
        }
        return try await openCircuit(to: target, over: session, at: ways)
    }

    /// When a relay that has no reservation of the target, or could not ask it, is asked again: where it was restarted, or the
    /// target lost its way there, that is about to come anew. Each time costs some of what a relay serves a minute.
    static let absencePauses: [Duration] = [.milliseconds(50), .milliseconds(150)]

    /// A circuit to `target` through a relay at one of `addresses`, for a connection that there is.
    ///
    /// - Parameter pauses: after which it is asked again when there is none.
    func openCircuit(
        to target: NodeID, via relay: NodeID, at addresses: [Address], again pauses: [Duration]
    ) async throws -> (way: CircuitWay, ends: RelayLeg.Ends) {
        var (failures, absences) = (pauses[...], Self.absencePauses[...])
        while true {
            do {
                return try await openCircuit(to: target, via: relay, at: addresses)
            } catch {
                let code = (error as? RelayError)?.code
                let isAbsent = code == .noReservation || code == .refusedByTarget
                guard let pause = (isAbsent ? absences.popFirst() : nil) ?? failures.popFirst() else { throw error }
                // Nobody tells when a relay, or the peer, is back.
                try await clock.sleep(for: pause)
            }
        }
    }

    /// A relay that does not answer where it was is tried by every way anew.
    func openCircuit(
        to target: NodeID, via relay: NodeID, at addresses: [Address]
    ) async throws -> (way: CircuitWay, ends: RelayLeg.Ends) {
        let ways = ways(to: addresses.isEmpty ? ways(toRelay: relay) : addresses)
        let dial = DialTarget(nodeID: relay, addresses: ways)
        return try await ask(dial, within: Self.returnDeadline) { [self] session in
            try await openCircuit(to: target, over: session, at: ways)
        }.answer
    }

    private func openCircuit(
        to target: NodeID, over session: Session, at ways: [Address]
    ) async throws -> (way: CircuitWay, ends: RelayLeg.Ends) {
        onCircuit?()
        let start = clock.now
        let (stream, reader, reply) = try await exchange(.connect(target), on: session)
        switch reply {
        case .refusal(let error): throw error
        case .circuit(let grant):
            // The relay asks the target before it answers.
            let time = clock.now.duration(since: start)
            guard let leg = leg(of: session),
                let ends = leg.open(grant.id, datagramSize: grant.datagramSize, roundTrip: time)
            else {
                Self.end(stream)
                throw RelayError.limit("circuits through one relay", RelayLeg.circuitLimit)
            }
            stream.bearsSilence()
            let way = CircuitWay(leg, circuit: grant.id, stream: stream, at: ways)
            networkTask { [weak self] in
                let end = await reader.circuitEnd()
                way.ended = end
                self?.ended(grant.id, leg, end)
            }
            return (way, ends)
        default: throw RelayError(.malformed)
        }
    }

    /// Takes a circuit that a relay brings: only one that this node reserved with, though it may have preferred others since.
    func accept(
        _ source: NodeID, _ grant: CircuitGrant, from session: Session, _ stream: NegotiatedStream,
        _ reader: FrameReader
    ) async throws {
        let isReserved = relays.indices.contains { machine.isHeld($0) && relays[$0].session === session }
        guard isReserved, accepts(source), let leg = leg(of: session),
            leg.open(grant.id, datagramSize: grant.datagramSize) != nil
        else { return try await stream.write(.answer(false)) }
        onCircuit?()
        stream.bearsSilence()
        let circuit = InboundCircuits.Circuit(grant, leg, stream, now: clock.now)
        inbound.opened(circuit)
        defer {
            inbound.closed(circuit)
            leg.close(grant.id)
        }
        try await stream.write(.answer(true))
        ended(grant.id, leg, await reader.circuitEnd())
    }
}
