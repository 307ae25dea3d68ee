internal import DeP2PIdentity
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
        var silent = relay.nodeID.flatMap(connections.session(with:))
        if silent.map(isSilent) != true {
            let session = try await connections.connect(to: relay, timeout: patience)
            do {
                return (try await whileHeard(session, question), session)
            } catch {
                guard isSilent(session), !Task.isCancelled else { throw error }
                silent = session
            }
        }
        let longest = max(patience, min((silent?.roundTripTime ?? .zero) * 8, Self.dialDeadline))
        let session = try await connections.connectAnew(to: relay, timeout: longest, isShared: true)
        do {
            let answer = try await question(session)
            // A reservation on it comes anew by itself.
            if let silent, !isRelay(silent) { connections.retire(silent) }
            return (answer, session)
        } catch {
            leaveLater(session)
            throw error
        }
    }

    /// What is asked is given up as soon as the relay does not answer any more.
    private func whileHeard<Answer: Sendable>(
        _ session: Session, _ question: @escaping @NetworkActor @Sendable (Session) async throws -> Answer
    ) async throws -> Answer {
        let watch = watch(session)
        if clock.now.duration(since: session.connection.receivedAt) > RelayPulse.interval { watch.doubt() }
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
