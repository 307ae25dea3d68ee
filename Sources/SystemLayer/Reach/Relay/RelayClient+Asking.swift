internal import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReactor
internal import DeP2PSessions

/// By which session a relay is asked: the present one may be as dead as the path that the relay is to stand in for.
extension RelayClient {
    /// A path is in doubt that these relays may have to stand in for: whether the sessions with them still work shows before they
    /// are needed.
    func doubt(_ relays: some Sequence<NodeID>) {
        for relay in relays {
            if let session = connections.session(with: relay) { watch(session).doubt() }
        }
    }

    /// Asks a relay over the present session, and over another where it does not answer on that any more, or falls silent meanwhile.
    ///
    /// - Parameters:
    ///   - relay: with all the ways to it.
    ///   - patience: how long it may take to be connected with.
    func ask<Answer: Sendable>(
        _ relay: DialTarget, within patience: Duration,
        _ question: @escaping @NetworkActor @Sendable (Session) async throws -> Answer
    ) async throws -> (answer: Answer, session: Session) {
        let began = clock.now
        var silent = relay.nodeID.flatMap(connections.session(with:))
        if silent.map(isSilent) != true {
            let session = try await connections.connect(to: relay, timeout: patience)
            do {
                return (try await whileHeard(session, question), session)
            } catch {
                guard isSilent(session) || !session.isOpen, !Task.isCancelled else { throw error }
                silent = session
            }
        }
        // Both together take no longer than one attempt of a connect may.
        let left = max(patience - clock.now.duration(since: began), Self.returnDeadline)
        let longest = max(left, min((silent?.roundTripTime ?? .zero) * 4, Self.dialDeadline))
        let session = try await connections.connectAnew(to: relay, timeout: longest, isShared: true)
        if let silent, silent !== session {
            // Whether it answers after all is known by the time that this is decided for what rides on it.
            silent.connection.nudge()
            leave(silent)
        }
        do {
            return (try await question(session), session)
        } catch {
            // One on which nothing comes is of no use to anybody, and a node has few places for them.
            if isMute(session), circuitCount(on: session) == 0, !isHeld(session) {
                session.close(.normal)
            } else {
                leaveLater(session)
            }
            throw error
        }
    }

    /// Whether nothing answers what was sent on it: a relay that waits for the target has nothing to say, but has acknowledged
    /// what it was asked.
    private func isMute(_ session: Session) -> Bool {
        let patience = max(RelayPulse.silence, (session.roundTripTime ?? .zero) * 2)
        return clock.now.duration(since: session.connection.receivedAt) >= patience
            && session.connection.statistics.hasUnacknowledged
    }

    /// Another session is used instead of one that was silent, which may be there after all.
    private func leave(_ silent: Session) {
        if silent.isOpen, !silent.isRetired, !isHeld(silent) { connections.retire(silent) }
    }

    /// Whether that very session is somebody's: an application's, or that of a reservation, the relay's with this node or this
    /// node's with the relay, which comes anew by itself.
    func isHeld(_ session: Session) -> Bool { session.isAskedFor || session.commitments > 0 || isRelay(session) }

    /// What is asked is given up as soon as the relay does not answer any more.
    private func whileHeard<Answer: Sendable>(
        _ session: Session, _ question: @escaping @NetworkActor @Sendable (Session) async throws -> Answer
    ) async throws -> Answer {
        let watch = watch(session)
        // However lately it was heard: what dies now is not asked by anybody else.
        watch.doubt()
        let task = networkTask { try await question(session) }
        let number = watch.onceSilent { task.cancel() }
        defer { watch.forget(number) }
        return try await withTaskCancellationHandler {
            try await task.value
        } onCancel: {
            task.cancel()
        }
    }
}
