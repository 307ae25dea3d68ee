internal import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReactor
internal import DeP2PSessions

/// Reservations: asked for as ``ReservationMachine`` decides, and kept as long as their relays are there.
extension RelayClient {
    func carryOut(_ actions: [ReservationMachine.Action]) {
        for action in actions {
            switch action {
            // Over which session is found out as it is asked.
            case .reserve(let index): reserve(index)
            case .changed:
                changes.send()
                onAddressChange?()
            }
        }
    }

    private func reserve(_ index: Int) {
        let isReturning = machine.isReturning(index, now: clock.now)
        let shortest = max(Self.returnDeadline, (relays[index].roundTrip ?? .zero) * 8)
        let patience = isReturning ? min(shortest, Self.reserveDeadline) : Self.reserveDeadline
        tasks[index] = networkTask { [weak self, clock] in
            do {
                let (session, time, terms) = try await clock.withDeadline(patience) {
                    guard let self else { throw CancellationError() }
                    return try await self.ask(self.ways(of: index), within: patience)
                }
                self?.granted(index, session, time, terms)
            } catch {
                guard let self, !Task.isCancelled else { return }
                tasks[index] = nil
                tell("\(error)", of: index, remedy: (error as? RelayError)?.remedy)
                driver.handle { $0.failed(index, now: $1) }
                choose()
            }
        }
    }

    /// The same reason is told once, however often a relay that may be back is asked.
    private func tell(_ refusal: String, of index: Int, remedy: Remedy?) {
        guard relays[index].refusal != refusal || !machine.isReturning(index, now: clock.now) else { return }
        relays[index].refusal = refusal
        onEvent?(.refused(relays[index].address, reason: refusal, remedy: remedy))
    }

    private func ask(
        _ relay: [Address], within patience: Duration
    ) async throws -> (Session, Duration, RelayTerms) {
        let target = DialTarget(addresses: relay)
        let ((time, terms), session) = try await ask(target, within: patience) { [self] session in
            try await reservation(on: session)
        }
        return (session, time, terms)
    }

    private func reservation(on session: Session) async throws -> (time: Duration, terms: RelayTerms) {
        switch try await exchange(.reserve, on: session).reply {
        case .reservation(let time, let terms) where time >= ReservationMachine.shortestTime: return (time, terms)
        case .refusal(let error): throw error
        default: throw RelayError(.malformed)
        }
    }

    private func granted(_ index: Int, _ session: Session, _ time: Duration, _ terms: RelayTerms) {
        tasks[index] = nil
        guard session.isOpen else { return driver.handle { $0.failed(index, now: $1) } }
        if relays[index].session !== session {
            // It took the reservation over; what runs over the old connection ends there.
            if let old = relays[index].session {
                let isSilent = isSilent(old)
                watches[old.id]?.isReserved = false
                // Where the relay is not heard on it, who comes by its circuits has to learn that, and asks for others.
                if isSilent { old.close(.normal) } else { connections.retire(old) }
            }
            relays[index].session = session
            watch(session).isReserved = true
            // A stream stands for each circuit, and what else it asks needs some too.
            session.expectStreams(RelayLeg.circuitLimit + connections.limits.handlersPerSession)
            session.onEnd { [weak self] session, _ in self?.sessionEnded(session, index) }
            learnWays(from: session, index)
        }
        if relays[index].address.nodeID == nil {
            relays[index].address = relays[index].address.with(nodeID: session.remoteNodeID)
            connections.peers.give(relays[index].address, as: .relay)
        }
        let isNew = !machine.isHeld(index)
        (relays[index].terms, relays[index].refusal) = (terms, nil)
        relays[index].roundTrip = session.roundTripTime ?? relays[index].roundTrip
        driver.handle { $0.granted(index, time: time, now: $1) }
        if isNew, let standing = standing(index) { onEvent?(.reserved(standing)) }
        choose()
        watchUDP()
    }

    /// Whoever wanted the session: a relay that was missed is asked at once when it is back.
    func reached(_ session: Session) {
        guard let index = relays.firstIndex(where: { $0.address.nodeID == session.remoteNodeID }) else { return }
        driver.handle { $0.reached(index, now: $1) }
    }

    /// Asks a relay for a reservation before the present one is due for renewal.
    func renew(_ index: Int) { driver.handle { $0.renew(index, now: $1) } }

    private func sessionEnded(_ session: Session, _ index: Int) {
        guard relays[index].session === session else { return }
        relays[index].session = nil
        let wasHeld = machine.isHeld(index)
        driver.handle { $0.lost(index, now: $1) }
        if wasHeld { onEvent?(.lost(relays[index].address)) }
    }

    // MARK: Whether relays are there

    @discardableResult
    func watch(_ session: Session) -> RelayWatch {
        if let watch = watches[session.id] { return watch }
        let watch = RelayWatch(session, keepAlive: endpoint.configuration.keepAlive)
        guard session.isOpen else { return watch }
        watches[session.id] = watch
        watch.onSilence = { [weak self, weak session] in if let session { self?.fellSilent(session) } }
        watch.onHeard = { [weak self, weak session] in
            guard let self, let index = relays.firstIndex(where: { $0.session === session }) else { return }
            driver.note { machine, _ in machine.heard(index) }
        }
        session.onEnd { [weak self] session, _ in
            self?.watches.removeValue(forKey: session.id)?.stop()
            self?.observerPorts[session.id] = nil
        }
        return watch
    }

    private func fellSilent(_ session: Session) {
        if let peer = session.path.tcpPeer { endpoint.suspectNarrowHop(to: peer.ip) }
        if let index = relays.firstIndex(where: { $0.session === session }) {
            driver.handle { $0.silent(index, now: $1) }
        }
        if let leg = legs[session.id] { onSilence?(leg) }
    }

    /// Whether the relay that `session` leads to does not answer any more.
    func isSilent(_ session: Session) -> Bool { watches[session.id]?.isSilent ?? false }
}
