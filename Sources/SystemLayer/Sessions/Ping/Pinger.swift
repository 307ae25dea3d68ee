internal import DeP2PQUIC
package import DeP2PReactor

/// Pings over one stream.
@NetworkActor
package final class Pinger {
    private var stream: NegotiatedStream
    private let session: Session
    /// Whether nothing shows yet that the peer knows what the stream speaks.
    private var isGuess: Bool
    private var received: [UInt8] = []
    /// What was sent and has not come back: the echo of a ping that was given up may still come.
    private var awaited: [[UInt8]] = []

    init(_ stream: NegotiatedStream, session: Session, isGuess: Bool = false) {
        self.stream = stream
        self.session = session
        self.isGuess = isGuess
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
        do {
            let time = try await exchange()
            isGuess = false
            return time
        } catch {
            guard isGuess, !Task.isCancelled, session.end == nil else { throw error }
            // Whether it refused the name, or broke off at what it took for another: it is asked what it knows.
            isGuess = false
            stream.reset(StreamCode.cancelled.rawValue)
            (received, awaited) = ([], [])
            stream = try await session.openStream(anyOf: Ping.protocolIDs)
            return try await exchange()
        }
    }

    private func exchange() async throws -> Duration {
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
