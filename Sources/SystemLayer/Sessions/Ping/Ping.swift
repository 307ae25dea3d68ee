internal import DeP2PQUIC
package import DeP2PReactor

/// libp2p ping: 32 random bytes echoed, repeatedly on one stream (libp2p/specs ping).
@NetworkActor
package enum Ping {
    package nonisolated static let protocolIDs = ["/dep2p/sys/ping/1.0.0", "/ipfs/ping/1.0.0"]
    /// Bytes of one ping.
    package nonisolated static let payloadSize = 32
    /// Pings echoed at once, and refilled per second: what a stream asks beyond waits.
    package nonisolated static let burst = 64
    package nonisolated static let ratePerSecond = 100
    /// How long a stream may stay silent between two pings.
    package nonisolated static let idleLimit = Duration.seconds(120)
    /// Streams of one session served at once, as the specification has it.
    package nonisolated static let streamsPerSession = 2
    /// Pings that were given up and whose echoes may still come.
    package nonisolated static let awaitedLimit = 1024
    /// Bytes of echoes that the peer may leave unacknowledged: a link of a second's delay at the full rate has half of it.
    package nonisolated static let unacknowledgedLimit = 2 * ratePerSecond * payloadSize

    /// Serves ping under both of its names.
    package static func serve(on connections: Connections) {
        let quota = StreamQuota(limit: streamsPerSession)
        for name in protocolIDs {
            connections.registry.register(name, deadline: .unlimited(because: "silence ends it, two a session")) {
                session, stream in
                try await quota.run(session) { try await PingResponder(stream, clock: session.clock).run() }
            }
        }
    }

    /// Opens a stream to ping the session's peer on, under whichever name it knows.
    ///
    /// Who is in this node's realm, or about to prove that, knows the first: there it rides in front of the first ping, a round
    /// trip sooner than that can be known.
    /// - Throws: ``SessionError``.
    package static func open(_ session: Session) async throws -> Pinger {
        guard session.membership != .outsider, let name = protocolIDs.first else {
            return Pinger(try await session.openStream(anyOf: protocolIDs), session: session)
        }
        return Pinger(try await session.openStream(name), session: session, isGuess: true)
    }
}
