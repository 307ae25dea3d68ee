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
    /// - Throws: ``SessionError``.
    package static func open(_ session: Session) async throws -> Pinger {
        Pinger(try await session.openStream(anyOf: protocolIDs), session: session)
    }
}

/// Pings over one stream.
@NetworkActor
package final class Pinger {
    private let stream: NegotiatedStream
    private let session: Session
    private var received: [UInt8] = []
    /// What was sent and has not come back: the echo of a ping that was given up may still come.
    private var awaited: [[UInt8]] = []

    init(_ stream: NegotiatedStream, session: Session) {
        self.stream = stream
        self.session = session
    }

    /// One round trip.
    ///
    /// - Returns: how long it took.
    /// - Throws: ``SessionError`` `timeout`, or `violation` when the echo differs; `CancellationError`.
    package func ping(timeout: Duration?) async throws -> Duration {
        do {
            return try await session.clock.withDeadline(timeout) { [self] in try await roundTrip() }
        } catch let error as CancellationError {
            throw error
        } catch {
            throw SessionError(error, on: session)
        }
    }

    /// Ends the stream.
    package func close() {
        stream.finish()
        stream.stopReading(StreamCode.done.rawValue)
    }

    private func roundTrip() async throws -> Duration {
        let payload = PingPayload.random(from: session.random)
        let start = session.clock.now
        guard awaited.count < Ping.awaitedLimit else { throw SessionError(.timeout) }
        awaited.append(payload)
        try await stream.write(Chunk(payload))
        while true {
            while received.count >= payload.count {
                let echo = Array(received.prefix(payload.count))
                received.removeFirst(payload.count)
                // Whoever waits beside may have taken the last one's echo already.
                guard let first = awaited.first, echo == first else {
                    throw SessionError(.violation, detail: "the echo differs from the ping")
                }
                awaited.removeFirst()
                if awaited.isEmpty { return session.clock.now.duration(since: start) }
            }
            guard let chunk = try await stream.read() else {
                throw SessionError(.violation, detail: "the ping stream ended")
            }
            received.append(contentsOf: chunk.array())
        }
    }
}

/// Echoes pings of one stream, no faster than the rate.
@NetworkActor
private struct PingResponder {
    private let stream: NegotiatedStream
    private let clock: any NetworkClock

    init(_ stream: NegotiatedStream, clock: any NetworkClock) {
        self.stream = stream
        self.clock = clock
    }

    func run() async throws {
        var bucket = TokenBucket(rate: Ping.ratePerSecond, burst: Ping.burst)
        var pending: [UInt8] = []
        var echoed: UInt64 = 0
        let idle = IdleTimer(stream, clock: clock, limit: Ping.idleLimit)
        defer { idle.stop() }
        while let chunk = try await stream.read() {
            idle.restart()
            pending.append(contentsOf: chunk.array())
            while pending.count >= Ping.payloadSize {
                let wait = bucket.take(now: clock.now)
                // Time itself: so many echoes a second.
                if wait > .zero { try await clock.sleep(for: wait) }
                // Who takes no echoes is not served more of them to keep.
                guard echoed <= stream.acknowledgedBytes + UInt64(Ping.unacknowledgedLimit) else {
                    throw SessionError(.busy)
                }
                try await stream.write(Chunk(pending.prefix(Ping.payloadSize)))
                echoed += UInt64(Ping.payloadSize)
                pending.removeFirst(Ping.payloadSize)
            }
        }
        guard pending.isEmpty else { throw SessionError(.violation, detail: "a ping is cut short") }
    }
}
