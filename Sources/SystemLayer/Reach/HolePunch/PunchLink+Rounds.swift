internal import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReactor
internal import DeP2PSessions

/// Rounds of hole punching, from either side of the stream.
extension PunchLink {
    func runRound() async throws -> [ProbeMachine.Path] {
        guard let session else { return [] }
        let own = await hub.candidates(isDoubting: isDoubting, within: roundTrip)
        // An admission under way decides what the peer may know.
        _ = await session.waitForMembership()
        return try await round(session, own, goesOn: { $0.isEmpty && willGuess }) { theirs, stream in
            let paths = try await probe(own, theirs, within: patience)
            if let best = paths.min(by: { $0.roundTrip < $1.roundTrip }) {
                try await stream.write(.chosen(best.observed, isDirect: kind(of: best) == .direct))
            }
            return paths
        }
    }

    /// How long a round's first answer is waited for.
    private var patience: Duration {
        guard willGuess else { return Self.probeDeadline }
        return min(Self.probeDeadline, max(Self.guessedProbeDeadline, connection.statistics.smoothedRTT * 4))
    }

    /// A round that this side begins: both tell their candidates, and then `look` at the same time.
    ///
    /// - Parameters:
    ///   - goesOn: whether the stream is left open with what was found.
    ///   - look: gets what the peer told, and says on the stream which path it chose.
    func round<Found>(
        _ session: Session, _ own: [Candidate], goesOn: (Found) -> Bool = { _ in false },
        _ look: (HolePunchMessage.Offer, NegotiatedStream) async throws -> Found
    ) async throws -> Found {
        let stream = try await session.openStream(HolePunch.id)
        streamCount += 1
        defer { streamCount -= 1 }
        do {
            let reader = FrameReader(stream, limit: HolePunchMessage.limit)
            try await stream.write(.offer(offer(own, to: voucher(nil))))
            guard case .answer(let theirs) = try await reader.requiredPunch() else { throw SessionError(.violation) }
            peerMapping = theirs.mapping
            let found = try await look(theirs, stream)
            let goesOn = goesOn(found)
            unfinished = (stream, reader)
            if !goesOn { finishRound() }
            return found
        } catch {
            machine.end()
            stream.reset(StreamCode.cancelled.rawValue)
            throw SessionError(error, on: session)
        }
    }

    func finishRound() {
        guard let (stream, _) = unfinished else { return }
        unfinished = nil
        stream.finish()
        stream.stopReading(StreamCode.done.rawValue)
    }

    // MARK: The server's side

    func serve(_ stream: NegotiatedStream) async throws {
        streamCount += 1
        defer { streamCount -= 1 }
        let reader = FrameReader(stream, limit: HolePunchMessage.limit)
        let first = try await clock.withDeadline(Self.roundDeadline) { try await reader.requiredPunch() }
        switch first {
        case .ask where connection.isInitiator: asked()
        case .offer(let theirs) where !connection.isInitiator:
            guard !isServing, !isStopped, rounds.takeNow(now: clock.now) else { throw SessionError(.busy) }
            isServing = true
            defer {
                isServing = false
                machine.end()
            }
            let guess = try await clock.withDeadline(Self.roundDeadline) {
                try await self.answer(theirs, stream, reader)
            }
            guard let guess else { return }
            machine.end()
            try await clock.withDeadline(BirthdayMachine.deadline(roundTrip)) {
                try await self.serveGuess(guess, stream, reader)
            }
        case .guess(let theirs) where !connection.isInitiator:
            guard !isServing, !isStopped, rounds.takeNow(now: clock.now) else { throw SessionError(.busy) }
            isServing = true
            defer { isServing = false }
            try await clock.withDeadline(BirthdayMachine.deadline(roundTrip)) {
                try await self.serveGuess(theirs, stream, reader)
            }
        default: throw SessionError(.violation)
        }
    }

    /// - Returns: with what the client goes on after a round in vain, if it does.
    private func answer(
        _ theirs: HolePunchMessage.Offer, _ stream: NegotiatedStream, _ reader: FrameReader
    ) async throws -> HolePunchMessage.Guess? {
        let isRelayed = connection.path.peerAddress == nil
        let own = await hub.candidates(isDoubting: isDoubting && isRelayed, within: roundTrip)
        _ = await session?.waitForMembership()
        try await stream.write(.answer(offer(own, to: voucher(theirs))))
        // The client begins when it has the answer.
        try await clock.sleep(for: min(connection.statistics.smoothedRTT / 2, Self.longestLead))
        begin(own, theirs)
        if isRelayed { isDoubting = true }
        switch try await reader.next().map(HolePunchMessage.init(decoding:)) {
        case .guess(let guess): return guess
        case .chosen(let address, let isDirect):
            isDoubting = false
            // How the path came about is the client's to know, where it leads is not its to say.
            if machine.sources.contains(address) {
                connection.setKind(isDirect ? .direct : .punched, ofPathTo: address)
            }
            return nil
        default: return nil
        }
    }

    // MARK: Probing

    func offer(_ own: [Candidate], to voucher: AddressRule.Voucher) -> HolePunchMessage.Offer {
        HolePunchMessage.Offer(
            candidates: hub.told(own, to: voucher), hostMark: keys.hostMark(hub.surroundings.hostMark),
            mapping: hub.surroundings.openSocket == nil ? nil : hub.mapping)
    }

    /// What the word of the peer is worth. That it is on this machine takes more than a packet from there: the proof of a
    /// process that has this node's probes sent where it wants them.
    ///
    /// - Parameter theirs: what it has sent, if anything.
    func voucher(_ theirs: HolePunchMessage.Offer?) -> AddressRule.Voucher {
        if let theirs, keys.isHostMark(theirs.hostMark, of: hub.surroundings.hostMark) { return .sameHost }
        guard let session else { return .stranger }
        return min(hub.rule.voucher(of: session), session.isAdmitted ? .member : .neighbour)
    }

    private func begin(_ own: [Candidate], _ theirs: HolePunchMessage.Offer, targets: [SocketAddress]? = nil) {
        let ownObserved = Set(own.filter { $0.kind == .observed }.map(\.address.ip))
        let rules = CandidateRules(
            rule: hub.rule, voucher: voucher(theirs),
            sharesPublicAddress: theirs.candidates.contains {
                $0.kind == .observed && ownObserved.contains($0.address.ip)
            })
        openAddresses = (
            Set(own.filter(\.isOpen).map(\.address)), Set(theirs.candidates.filter(\.isOpen).map(\.address))
        )
        send(machine.begin(targets ?? rules.targets(theirs.candidates), rules: rules, now: clock.now))
        setTimer()
    }

    /// - Parameter targets: what is probed; by default all that may be of what the peer has named.
    func probe(
        _ own: [Candidate], _ theirs: HolePunchMessage.Offer, targets: [SocketAddress]? = nil,
        within patience: Duration = probeDeadline
    ) async throws -> [ProbeMachine.Path] {
        let waiter = Waiter<Void>()
        settled = waiter
        let limit = clock.schedule(after: patience) { waiter.resume(returning: ()) }
        defer {
            machine.end()
            settled = nil
            for token in [limit, settling].compactMap(\.self) { clock.cancel(token) }
            settling = nil
        }
        begin(own, theirs, targets: targets)
        try await waiter.value()
        return machine.paths
    }
}
