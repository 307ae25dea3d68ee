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
    /// After which time a connection without a path is given up: the client has it to find another relay.
    static let grace = Duration.seconds(5)

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
        carryOut(keeper.relayLost(now: clock.now))
        return true
    }

    /// What the client can do about it is its own to know; a connection that it brings back in time goes on.
    private func giveUpLater(_ end: CircuitEnd) {
        let path = connection.path
        _ = clock.schedule(after: Self.grace) { [weak self] in
            guard let self, connection.path == path else { return }
            connection.close(code: CloseCode.relayEnded.rawValue, reason: "\(end)")
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
        newWay?.end()
        newWay = nil
    }

    func goBack(to relay: PathKeeper.Relay) {
        stay()
        let relays = detours
        if relay == .known || relays.isEmpty, let (ends, leg) = hub.relays.wayBack(for: connection) {
            // A NAT that has forgotten everything moved the connection to the relay too: frames pass once it shows there.
            leg.connection.nudge()
            if !abandonPath(for: ends, by: leg.relayID) { cannotMigrate() }
        } else if !relays.isEmpty {
            task = networkTask { [weak self] in await self?.detour(relays) }
        } else {
            cannotMigrate()
        }
    }

    /// Back to the straight path that was there before a better one.
    func goStraight(to remote: SocketAddress) {
        stay()
        isAbandoning = connection.abandonPath(to: remote, kind: formerKind)
        if !isAbandoning { cannotMigrate() }
    }

    private func abandonPath(for ends: RelayLeg.Ends, by relay: NodeID) -> Bool {
        isAbandoning = connection.abandonPath(for: ends.local, remote: ends.remote, kind: .relay(relay))
        return isAbandoning
    }

    private func detour(_ relays: [(relay: NodeID, addresses: [Address])]) async {
        guard let peer = session?.remoteNodeID else { return }
        for (relay, addresses) in relays {
            do {
                let (way, ends) = try await clock.withDeadline(Self.detourDeadline) { [hub] in
                    try await hub.relays.openCircuit(to: peer, via: relay, at: addresses)
                }
                guard !isStopped, !Task.isCancelled else { return way.end() }
                if abandonPath(for: ends, by: relay) {
                    newWay = way
                    return
                }
                way.end()
            } catch {
                if Task.isCancelled { return }
            }
        }
        cannotMigrate()
    }

    /// Nothing could be begun: tried again soon, unless the connection has no path at all and nobody to turn to.
    private func cannotMigrate() {
        if let (end, time) = circuitEnd, clock.now.duration(since: time) >= Self.grace - Self.detourDeadline {
            return connection.close(code: CloseCode.relayEnded.rawValue, reason: "\(end)")
        }
        carryOut(keeper.migrationEnded(false, now: clock.now))
    }

    /// Relays other than the one that was lost, by each the ways to it.
    private var detours: [(relay: NodeID, addresses: [Address])] {
        guard let peer = session?.remoteNodeID, hub.surroundings.usesRelays else { return [] }
        var present: NodeID?
        if keeper.lostRelay || circuitEnd != nil, case .relay(let relay) = connection.path.kind { present = relay }
        var found: [(relay: NodeID, addresses: [Address])] = []
        // The circuit that was kept warm may have given way to another's: a new one is made.
        if let relay = hub.relays.relay(of: connection), relay != present { found.append((relay, [])) }
        for address in hub.surroundings.relays(peer) + hub.connections.relays(of: peer) {
            guard let relay = address.nodeID, relay != present, relay != peer, relay != hub.connections.localNodeID
            else { continue }
            if let index = found.firstIndex(where: { $0.relay == relay }) {
                if !found[index].addresses.contains(address) { found[index].addresses.append(address) }
            } else if found.count < Self.detourLimit {
                found.append((relay, [address]))
            }
        }
        // Those that this node is connected with answer soonest.
        return found.filter { hub.connections.session(with: $0.relay) != nil }
            + found.filter { hub.connections.session(with: $0.relay) == nil }
    }
}
