internal import DeP2PQUIC
internal import DeP2PReactor

/// Echoes pings of one stream, no faster than the rate.
@NetworkActor
struct PingResponder {
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
