internal import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReactor
internal import DeP2PSessions

/// Guessing ports, when a round came to nothing because one side's NAT gives them out at random (``BirthdayMachine``).
///
/// QUIC's client begins it, on the stream of that round. First each shows the other where it is, by an observer that the other
/// trusts (``AddressProver``): nothing is sent to an address because the peer names it. Who cannot, or has nothing that
/// waits for the connection, sends none.
extension PunchLink {
    /// How long a socket is kept that something came by, for the client to move there.
    static let socketPatience = Duration.seconds(10)
    /// Waits grow with round trips up to this.
    static let longestRoundTrip = Duration.seconds(2)

    // MARK: The client's side

    /// - Returns: the ways that were found; none where it is not worth a trial, or it failed.
    func guessPorts() async -> [ProbeMachine.Path] {
        guard willGuess, let session, let opens, let (stream, reader) = unfinished,
            let witness = hub.witness(for: session.remoteNodeID)
        else { return [] }
        unfinished = nil
        let paths = await traced(awaiting: "guessing ports") {
            try await clock.withDeadline(BirthdayMachine.deadline(roundTrip)) {
                try await self.guessPorts(stream, reader, on: session, opens: opens, witness)
            }
        }
        return paths ?? []
    }

    /// Whether ports are guessed when a round comes to nothing.
    var willGuess: Bool {
        guard let session, opens != nil, isWorthGuessing else { return false }
        return hub.witness(for: session.remoteNodeID) != nil
    }

    /// Whether this side is to open sockets, as the two have said of their NATs in the round before.
    private var opens: Bool? {
        switch (hub.mapping, peerMapping) {
        case (.random, .independent): true
        case (.independent, .random): false
        default: nil
        }
    }

    /// By the relay: what the way to the peer, to the witness and back may take too.
    var roundTrip: Duration { min(connection.statistics.smoothedRTT, Self.longestRoundTrip) }

    /// Whether something waits for a better path, and it is neither too early nor another's turn.
    private var isWorthGuessing: Bool {
        guard let session, isWaitedFor else { return false }
        return hub.mayGuess(isServed: !connection.isInitiator) && (session.isAdmitted || !hub.relays.wantsMembersOnly())
    }

    /// Whether the connection is relayed and anything but what stays open for ever is on it.
    private var isWaitedFor: Bool {
        guard let session, !isStopped, isBusy, connection.path.peerAddress == nil else { return false }
        return hub.surroundings.isWaitedFor(session)
    }

    private func guessPorts(
        _ stream: NegotiatedStream, _ reader: FrameReader, on session: Session, opens: Bool, _ witness: SocketAddress
    ) async throws -> [ProbeMachine.Path] {
        streamCount += 1
        defer { streamCount -= 1 }
        do {
            try await stream.write(.guess(HolePunchMessage.Guess(opens: opens, witness: witness)))
            guard case .guess(let theirs) = try await reader.requiredPunch() else { throw SessionError(.violation) }
            let peer = try await proven(theirs, by: witness)
            let own = try await proof(for: theirs)
            try await stream.write(.guess(HolePunchMessage.Guess(opens: opens, proven: own)))
            guard case .start = try await reader.requiredPunch() else { throw SessionError(.violation) }
            let trial = try begin(at: peer, opens: opens)
            defer { end(trial) }
            networkTask { [weak trial] in
                // It says nothing more: whatever ends its side of the stream, nobody there opens or guesses any longer.
                _ = await traced(awaiting: "a peer goes on guessing") { try await reader.next() }
                trial?.stop()
            }
            try await trial.over.value()
            let paths = machine.paths
            if let best = paths.min(by: { $0.roundTrip < $1.roundTrip }) {
                try await stream.write(.chosen(best.observed, isDirect: false))
            }
            stream.finish()
            stream.stopReading(StreamCode.done.rawValue)
            return paths
        } catch {
            stream.reset(StreamCode.cancelled.rawValue)
            throw SessionError(error, on: session)
        }
    }

    // MARK: The server's side

    func serveGuess(
        _ first: HolePunchMessage.Guess, _ stream: NegotiatedStream, _ reader: FrameReader
    ) async throws {
        guard let session, isWorthGuessing, hub.mapping == (first.opens ? .independent : .random),
            let witness = hub.witness(for: session.remoteNodeID)
        else { throw SessionError(.busy) }
        let own = try await proof(for: first)
        let opens = !first.opens
        try await stream.write(.guess(HolePunchMessage.Guess(opens: opens, witness: witness, proven: own)))
        guard case .guess(let theirs) = try await reader.requiredPunch() else { throw SessionError(.violation) }
        let trial = try begin(at: try await proven(theirs, by: witness), opens: opens)
        trial.onWorthless = { [weak stream] in stream?.reset(StreamCode.cancelled.rawValue) }
        defer { end(trial) }
        try await stream.write(.start)
        let last = try await reader.next()
        guard let last, case .chosen(let address, _) = try HolePunchMessage(decoding: last),
            machine.sources.contains(address)
        else { return }
        connection.setKind(.punched, ofPathTo: address)
    }

    // MARK: Proofs

    private func proof(for peer: HolePunchMessage.Guess) async throws -> HolePunchMessage.Proven {
        // It names what it likes: like any other address that it names.
        guard let witness = peer.witness, witness.ip.family == .v4, hub.rule.admits(witness, from: voucher(nil)) else {
            throw SessionError(.violation)
        }
        for _ in 0..<AddressProver.questions where !hub.budget.take(witness.ip, now: clock.now) {
            throw SessionError(.busy)
        }
        return try await hub.prover.proof(by: witness, in: keys.ownContext, within: roundTrip * 2)
    }

    private func proven(_ theirs: HolePunchMessage.Guess, by witness: SocketAddress) async throws -> SocketAddress {
        guard let proven = theirs.proven, proven.address.ip.family == .v4,
            hub.rule.admits(proven.address, from: voucher(nil))
        else { throw SessionError(.violation) }
        try await hub.prover.check(proven, by: witness, in: keys.peerContext, within: roundTrip * 2)
        return proven.address
    }

    // MARK: The trial

    private func begin(at peer: SocketAddress, opens: Bool) throws -> BirthdayTrial {
        guard trial == nil, !isStopped, isWorthGuessing,
            hub.gate.begin(at: peer.ip, isServed: !connection.isInitiator, now: clock.now)
        else {
            throw SessionError(.busy)
        }
        let sockets = opens ? hub.openSockets() : []
        guard !opens || sockets.count >= BirthdayMachine.fewestSockets else {
            for socket in sockets { hub.endpoint.removeSocket(socket) }
            hub.gate.end(succeeded: false, sent: 0, now: clock.now)
            throw SessionError(.busy)
        }
        machine.beginGuessing()
        let begun = BirthdayTrial(
            at: peer, from: sockets, roundTrip: roundTrip, random: hub.connections.random, clock: clock,
            isWorthIt: { [weak self] in self?.isWaitedFor ?? false },
            send: { [weak self] shot in self?.send(shot) })
        trial = begun
        return begun
    }

    private func send(_ shot: BirthdayMachine.Shot) {
        hub.name(self)
        let probe = machine.probe(shot.destination, from: shot.source, now: clock.now)
        hub.stun.probing()
        hub.endpoint.sendForeign(
            probe.packet.encoded(link: name, key: keys.own), to: probe.destination, from: probe.source)
    }

    private func end(_ ended: BirthdayTrial) {
        ended.stop()
        let succeeded = !machine.paths.isEmpty || connection.path.peerAddress != nil
        hub.gate.end(succeeded: succeeded, sent: ended.sent, now: clock.now)
        machine.end()
        trial = nil
        // With the session over nobody would close them later.
        let kept = isStopped ? [] : ended.hit
        for socket in ended.sockets where !kept.contains(socket) { hub.endpoint.removeSocket(socket) }
        keptSockets += kept
        closeSocketsLater()
    }

    /// Closes those where the connection's path does not begin.
    func closeSocketsLater() {
        guard !keptSockets.isEmpty else { return }
        _ = clock.schedule(after: Self.socketPatience) { [weak self] in
            guard let self else { return }
            let present = connection.path.local.flatMap { self.hub.endpoint.socket(at: $0) }
            closeSockets(but: present)
        }
    }

    func closeSockets(but present: SocketAddress? = nil) {
        for socket in keptSockets where socket != present { hub.endpoint.removeSocket(socket) }
        keptSockets = keptSockets.filter { $0 == present }
    }
}
