internal import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReactor

/// Identify push (libp2p/specs identify): who is connected hears at once that a node's addresses have changed.
extension Identify {
    package nonisolated static let pushID = "/ipfs/id/push/1.0.0"
    /// Changes within this time are one.
    static let pushDelay = Duration.milliseconds(200)
    /// Connections told of one change.
    static let pushLimit = 256
    /// After opening a connection, how long until the peer is asked: what is over at once learns nothing.
    static let askDelay = Duration.milliseconds(300)
    /// A peer that is reached through a relay is asked once the path is a straight one, or has carried so many bytes, or after
    /// that time: the answer is longer than all that is said until then, and few connections stay relayed.
    static let relayedAskDelay = Duration.seconds(20)
    static let relayedAskBytes: UInt64 = 16_384
    static let relayedLookInterval = Duration.seconds(1)

    /// Asks the nodes that this one dials where they are, and takes what nodes push.
    package func learn() {
        guard let connections else { return }
        connections.registry.register(Self.pushID, deadline: .within(Self.deadline)) { session, stream in
            let reader = FrameReader(stream, limit: Self.messageLimit)
            var merged: [UInt8] = []
            for _ in 0..<Self.messageCount {
                guard let frame = try await reader.next() else { break }
                merged += frame
            }
            let information = try PeerInformation(decoding: merged, of: session.remoteNodeID)
            session.learned(information)
        }
        connections.onAdmission { [weak self] session in self?.admitted(session) }
        connections.onSession { [weak self] session in
            guard session.isInitiator else { return }
            networkTask { [weak self, weak session] in
                // Cancelled: there is nothing to ask any more.
                guard let clock = session?.clock, (try? await clock.sleep(for: Self.askDelay)) != nil else { return }
                let deadline = clock.now.advanced(by: Self.relayedAskDelay)
                while let waiting = session, waiting.isQuietOnRelay, clock.now < deadline {
                    // Nobody tells when a relay has carried much.
                    guard (try? await clock.sleep(for: Self.relayedLookInterval)) != nil else { return }
                }
                if let session, session.isOpen { await self?.learn(from: session) }
            }
        }
    }

    private func learn(from session: Session) async {
        questions.add(on: session)
        defer { questions.remove(on: session) }
        if let information = await traced(awaiting: "who a peer is", { try await Self.ask(session) }) {
            session.learned(information)
        }
    }

    /// Tells the nodes that are connected that this node's addresses have changed.
    ///
    /// - Parameter isWanted: leaves connections out.
    package func push(isWanted: @escaping @NetworkActor (Session) -> Bool = { _ in true }) {
        guard pending == nil, let connections else { return }
        pending = connections.clock.schedule(after: Self.pushDelay) { [weak self] in
            guard let self else { return }
            pending = nil
            // Members first: strangers may be many.
            let wanted = connections.sessions.filter(isWanted)
            let told = wanted.filter(\.isAdmitted) + wanted.filter { !$0.isAdmitted }
            for session in told.prefix(Self.pushLimit) { push(to: session) }
        }
    }

    /// Tells the peer of one session.
    package func push(to session: Session) {
        networkTask { [weak self] in
            await traced(awaiting: "telling a peer of this node's addresses") {
                guard let message = try await self?.message(for: session) else { return }
                try await session.clock.withDeadline(Self.deadline) {
                    let stream = try await session.openStream(Self.pushID)
                    try await stream.writeFrame(message)
                    stream.finish()
                    // Whoever does not speak it says so here.
                    _ = try await stream.read()
                }
            }
        }
    }
}

extension Session {
    fileprivate var isQuietOnRelay: Bool {
        guard isOpen, path.isRelayed else { return false }
        let statistics = connection.statistics
        return statistics.bytesSent + statistics.bytesReceived < Identify.relayedAskBytes
    }
}
