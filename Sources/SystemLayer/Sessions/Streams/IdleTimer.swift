package import DeP2PQUIC
package import DeP2PReactor

/// Resets a stream on which nothing has happened for a while.
@NetworkActor
package final class IdleTimer {
    private let stream: any ByteStream
    private let clock: any NetworkClock
    private let limit: Duration
    private var token: TimerToken?
    private var lastActivity: NetworkInstant

    package init(_ stream: any ByteStream, clock: any NetworkClock, limit: Duration) {
        self.stream = stream
        self.clock = clock
        self.limit = limit
        lastActivity = clock.now
        schedule()
    }

    package func restart() { lastActivity = clock.now }

    package func stop() {
        token.map(clock.cancel)
        token = nil
    }

    /// One timer for many restarts: it looks at the last activity when it fires.
    private func schedule() {
        token = clock.schedule(at: lastActivity.advanced(by: limit)) { [weak self] in
            guard let self else { return }
            if clock.now.duration(since: lastActivity) >= limit {
                stream.reset(StreamCode.timeout.rawValue)
            } else {
                schedule()
            }
        }
    }
}
