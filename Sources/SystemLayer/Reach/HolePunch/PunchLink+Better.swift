internal import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReactor
internal import DeP2PSessions

/// To a better straight path than the present one: another of the addresses that the peer's signed record names.
///
/// QUIC's client alone looks, so that of the two ends of a connection one does, and of two connections that both ends made
/// at once the one that is used. What it sends where is its own rule's to say; a peer can name addresses, ``betterLimit`` of
/// which get what a round sends to one, as often as ``SeekSchedule`` allows and ``ProbeBudget`` has left.
extension PunchLink {
    /// Addresses that are probed in one look, besides the present one.
    static let betterLimit = 4

    /// Something has changed that a better path may follow from.
    func hope() {
        guard mayBeBetter else { return }
        keeper.hope(now: clock.now)
        setTimer()
    }

    /// Whether there is an address worth a look. Sessions whose streams stand for circuits or reservations stay where they
    /// are: relays know their clients by where their frames come from.
    private var mayBeBetter: Bool {
        guard let session, !isStopped, connection.isInitiator, hub.surroundings.usesStraightPaths, !session.isRetired,
            connection.path.tcpPeer == nil, connection.path.peerAddress != nil, session.commitments == 0,
            !hub.relays.carriesCircuits(session)
        else { return false }
        return !betterAddresses().isEmpty
    }

    private func betterAddresses() -> [SocketAddress] {
        guard let session, let present = connection.path.peerAddress else { return [] }
        let listed = hub.connections.peers.book.listed(of: session.remoteNodeID).compactMap(\.udpAddress)
        guard !listed.isEmpty else { return [] }
        let rule = hub.rule
        let (preference, voucher) = (PathPreference(rule: rule), voucher(nil))
        let worthy = listed.filter { address in
            rule.admits(address, from: voucher) && preference.isWorthProbing(address, beside: present)
        }
        return Array(worthy.prefix(Self.betterLimit))
    }

    func seek() {
        task = networkTask { [weak self] in
            guard let self else { return }
            do {
                let found = try await clock.withDeadline(Self.roundDeadline) { try await self.lookForBetter() }
                carryOut(keeper.sought(found, from: connection.path.peerAddress, now: clock.now))
                hope()
            } catch let error as SessionError where error.code == .unsupported {
                keeper.stopPunching(now: clock.now)
                setTimer()
            } catch {
                carryOut(keeper.sought(nil, from: nil, now: clock.now))
                hope()
            }
        }
    }

    /// A round of punching with few addresses: the peer answers probes from then on, and its firewall lets them in.
    private func lookForBetter() async throws -> ProbeMachine.Path? {
        // Much may have changed since this was due.
        guard mayBeBetter, let session, let present = connection.path.peerAddress else { return nil }
        let targets = betterAddresses()
        let own = hub.surroundings.interfaces().filter { interface in
            targets.contains { interface.isNear($0.ip) || (interface.address.ip.isGlobal && $0.ip.family == .v6) }
        }.map { Candidate(.interface, $0.address) }
        return try await round(session, own) { theirs, stream in
            let paths = try await probe(own, theirs, targets: [present] + targets)
            // As fast as the others are measured to be; a present path that answers no probe, as QUIC does.
            let roundTrip = paths.first { $0.remote == present }?.roundTrip ?? connection.statistics.smoothedRTT
            let best = PathPreference(rule: hub.rule).best(of: paths, beside: present, roundTrip: roundTrip)
            if let best {
                openAddresses.peer.insert(best.remote)
                if keeper.former == nil { formerKind = connection.path.kind }
                try await stream.write(.chosen(best.observed, isDirect: true))
            }
            return best
        }
    }
}

extension Address {
    /// Where QUIC is spoken straight over UDP.
    var udpAddress: SocketAddress? {
        guard !isRelayed, case .ip(let ip)? = host, case .quic(let port)? = transport, port > 0 else { return nil }
        return SocketAddress(ip, port: port)
    }
}
