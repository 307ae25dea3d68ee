internal import DeP2PReactor

/// Notices that full-size datagrams have stopped arriving although the path lives (RFC 8899 section 4.3): a route that
/// became narrower drops them, with or without a word. Pure.
///
/// ngtcp2 raises the datagram size after probes and never lowers it. So when nothing is acknowledged for two probe
/// timeouts, datagrams keep to the size that every path carries, for a while that doubles each time it happens again.
/// On a path that is plainly dead or lossy this costs a little throughput and nothing else.
///
/// Calling order: ``timerFired(_:)`` at each expiry of the connection's timer, ``cap(now:)`` before sending,
/// ``pathChanged()`` when the path is another.
struct BlackHoleDetector {
    /// UDP payload that every path of QUIC carries (RFC 9000 14.1).
    static let floor = 1_200
    static let firstHold = Duration.seconds(10)
    static let longestHold = Duration.seconds(600)

    struct Observation {
        /// How often the peer has acknowledged bytes of streams.
        let acknowledgements: UInt64
        let bytesInFlight: UInt64
        let smoothedRTT: Duration
        let now: NetworkInstant
    }

    private var acknowledgements: UInt64 = 0
    private var silentSince: NetworkInstant?
    private var heldUntil: NetworkInstant?
    private var nextHold = firstHold

    mutating func timerFired(_ seen: Observation) {
        guard seen.bytesInFlight > 0, seen.acknowledgements == acknowledgements else {
            acknowledgements = seen.acknowledgements
            silentSince = nil
            return
        }
        guard let since = silentSince else { return silentSince = seen.now }
        guard seen.now.duration(since: since) >= Self.patience(seen.smoothedRTT), cap(now: seen.now) == nil else {
            return
        }
        // Narrow for longer than the last time: it has not become wider meanwhile.
        if let heldUntil, seen.now.duration(since: heldUntil) > nextHold { nextHold = Self.firstHold }
        heldUntil = seen.now.advanced(by: nextHold)
        nextHold = min(nextHold * 2, Self.longestHold)
    }

    /// The largest datagram to send now; `nil` when the path's own limit stands.
    func cap(now: NetworkInstant) -> Int? {
        heldUntil.map { now < $0 } ?? false ? Self.floor : nil
    }

    mutating func pathChanged() {
        (silentSince, heldUntil, nextHold) = (nil, nil, Self.firstHold)
    }

    /// Two probe timeouts (RFC 9002 6.2.1) of a path with little variation, at least.
    static func patience(_ smoothedRTT: Duration) -> Duration {
        (smoothedRTT * 2 + .milliseconds(25)) * 2
    }
}
