internal import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReactor
internal import DeP2PSessions

/// Back to a relay: the one that carried the connection before, or another.
extension PunchLink {
    /// How long a relay may take to make a circuit to the peer.
    static let detourDeadline = Duration.seconds(2)
    /// Relays besides the present one that are tried.
    static let detourLimit = 4
    /// From one relay that is asked to the next, while those before have not answered.
    static let detourStagger = Duration.milliseconds(150)
    /// From one time that a relay is asked to the next: it may be about to be back, or the peer to be there.
    static let detourPauses: [Duration] = [.milliseconds(250), .milliseconds(250), .milliseconds(500)]
    /// After which time a connection without a path is given up: the client has it to find another relay. Work under way
    /// that bears silence waits longer, until QUIC's own timeout.
    static let grace = Duration.seconds(5)

    /// How often the circuit that the connection is on is taken anew while the peer is silent.
    static let repeatLimit = 1

    /// How long a circuit is kept that the connection has left for a straight path.
    static let warmth = Duration.seconds(3)

    /// A relay, and where it may be.
    typealias Detour = (relay: NodeID, addresses: [Address])

    /// The circuit that carries the connection has ended.
    ///
    /// - Returns: false when there is nothing to be done about it.
    func relayEnded(_ end: CircuitEnd) -> Bool {
        guard !isStopped, let session, session.isOpen else { return false }
        circuitEnd = (end, clock.now)
        guard connection.isInitiator else {
            giveUpLater(end)
            return true
        }
        guard keeper.isActive, !detours.isEmpty else { return false }
        let wasAbandoning = isAbandoning
        isAbandoning = false
        guard wasAbandoning, keeper.isReturning else {
            carryOut(keeper.relayLost(now: clock.now))
            return true
        }
        // It was the way that was just taken, and has not been seen to work: not again at once, whatever a relay grants and
        // takes back.
        carryOut(keeper.migrationEnded(false, now: clock.now))
        return true
    }

    /// The relay does not answer any more, where this node is.
    func relayFellSilent() {
        guard !isStopped, connection.isInitiator, keeper.isActive, !detours.isEmpty else { return }
        carryOut(keeper.relayLost(now: clock.now))
    }

    /// What the client can do about it is its own to know; a connection that it brings back in time goes on.
    private func giveUpLater(_ end: CircuitEnd) {
        let path = connection.path
        _ = clock.schedule(after: Self.grace) { [weak self] in
            guard let self, connection.path == path else { return }
            if connection.isPatient, end.mayBeTakenBack { return giveUpLater(end) }
            connection.close(code: CloseCode.relayEnded.rawValue, reason: "\(end)")
        }
    }

    /// A circuit that nothing goes through holds a place at the relay that others may need.
    func giveBackLater() {
        guard let remote = connection.path.peerAddress else { return }
        _ = clock.schedule(after: Self.warmth) { [weak self] in
            guard let self, !isStopped, connection.path.peerAddress == remote else { return }
            hub.relays.giveBack(connection)
        }
    }

    /// Whether a relay may lead to the peer, now that its direct path is dead. Frames of circuits don't travel in others.
    var canBeRelayed: Bool {
        guard let session, connection.path.tcpPeer == nil, session.commitments == 0 else { return false }
        return !hub.relays.carriesCircuits(session) && !detours.isEmpty
    }

    /// The path that was about to be left works again.
    func stay() {
        task?.cancel()
        isDetouring = false
        newWay?.end()
        newWay = nil
    }

    func goBack(to relay: PathKeeper.Relay) {
        verdict.map(clock.cancel)
        stay()
        let relays = detours
        if (relay == .known && mayRepeat) || relays.isEmpty, let (ends, leg) = hub.relays.wayBack(for: connection) {
            if hub.relays.isOnItsWay(connection) { repeats += 1 }
            // A NAT that has forgotten everything moved the connection to the relay too: frames pass once it shows there.
            leg.connection.nudge()
            if !abandonPath(for: ends, by: leg.relayID) { cannotMigrate() }
        } else if !relays.isEmpty {
            isDetouring = true
            task = networkTask { [weak self] in await self?.detour(relays) }
        } else {
            cannotMigrate()
        }
    }

    /// Whether the circuit that the connection is on may be taken anew. That frees the congestion window, so that something is
    /// sent at once; but each time costs one of the four IDs that the peer has given out in advance, and who is silent gives
    /// no more. What a relay has asked the peer about, which answered, is worth them.
    private var mayRepeat: Bool { repeats < Self.repeatLimit || !hub.relays.isOnItsWay(connection) }

    /// Back to the straight path that was there before a better one.
    func goStraight(to remote: SocketAddress) {
        verdict.map(clock.cancel)
        stay()
        isAbandoning = connection.abandonPath(to: remote, kind: formerKind)
        if !isAbandoning { cannotMigrate() }
    }

    private func abandonPath(for ends: RelayLeg.Ends, by relay: NodeID) -> Bool {
        isAbandoning = connection.abandonPath(for: ends.local, remote: ends.remote, kind: .relay(relay))
        return isAbandoning
    }

    private func detour(_ relays: [Detour]) async {
        guard let peer = session?.remoteNodeID else { return }
        let race = DetourRace(relays.count)
        let tasks = relays.enumerated().map { place, relay in
            networkTask { [hub, clock] in
                do {
                    if place > 0 { try await clock.sleep(for: Self.detourStagger * place) }
                    let (way, ends) = try await clock.withDeadline(Self.detourDeadline) {
                        try await hub.relays.openCircuit(
                            to: peer, via: relay.relay, at: relay.addresses, again: Self.detourPauses)
                    }
                    race.came((relay.relay, way, ends))
                } catch {
                    race.came(nil)
                }
            }
        }
        defer { for task in tasks { task.cancel() } }
        // Cancelled: another way was found meanwhile, and what still comes is ended by the race.
        guard let found = try? await race.result.value() else {
            if !Task.isCancelled { detourEnded(nil) }
            return
        }
        if isStopped || Task.isCancelled { return found.way.end() }
        detourEnded(found)
    }

    private func detourEnded(_ found: DetourRace.Found?) {
        isDetouring = false
        guard let found else { return cannotMigrate() }
        // A new circuit of the leg that is left would begin where the old one does: QUIC takes no path to be another whose
        // near end is the same.
        let isSameLeg = connection.path.local == found.ends.local
        guard let ends = isSameLeg ? found.way.renew() : found.ends, abandonPath(for: ends, by: found.relay) else {
            found.way.end()
            return cannotMigrate()
        }
        newWay = found.way
    }

    /// Nothing could be begun: tried again soon, unless the connection has no path at all and nobody to turn to.
    private func cannotMigrate() {
        if let (end, time) = circuitEnd, clock.now.duration(since: time) >= Self.grace - Self.detourDeadline,
            !connection.isPatient
        {
            return connection.close(code: CloseCode.relayEnded.rawValue, reason: "\(end)")
        }
        carryOut(keeper.migrationEnded(false, now: clock.now))
    }

    /// The relays that may lead to the peer, by each the ways to it: those that this node is connected with first, and the
    /// one that carried the connection before all others; where that was lost behind them, for it may be back, or there by
    /// another way.
    var detours: [Detour] {
        guard let peer = session?.remoteNodeID, hub.surroundings.usesRelays else { return [] }
        var last = hub.relays.relay(of: connection)
        var found: [Detour] = []
        for address in hub.surroundings.relays(peer) + hub.connections.relays(of: peer) {
            guard let relay = address.nodeID, relay != peer, relay != hub.connections.localNodeID else { continue }
            if relay == last?.relay {
                if last?.addresses.contains(address) == false { last?.addresses.append(address) }
            } else if let index = found.firstIndex(where: { $0.relay == relay }) {
                if !found[index].addresses.contains(address) { found[index].addresses.append(address) }
            } else if found.count < Self.detourLimit {
                found.append((relay, [address]))
            }
        }
        // Those that this node is connected with answer soonest.
        found =
            found.filter { hub.connections.session(with: $0.relay) != nil }
            + found.filter { hub.connections.session(with: $0.relay) == nil }
        guard let last else { return found }
        guard keeper.lostRelay || circuitEnd != nil else { return [last] + found }
        return circuitEnd?.end.mayBeTakenBack == false ? found : found + [last]
    }
}

/// Several relays are asked for a circuit, and the first that makes one is taken.
@NetworkActor
private final class DetourRace {
    typealias Found = (relay: NodeID, way: CircuitWay, ends: RelayLeg.Ends)

    let result = Waiter<Found?>()
    private var left: Int

    init(_ count: Int) { left = count }

    func came(_ found: Found?) {
        left -= 1
        if let found {
            guard !result.isResolved else { return found.way.end() }
            result.resume(returning: found)
        } else if left == 0 {
            result.resume(returning: nil)
        }
    }
}
