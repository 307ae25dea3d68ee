internal import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReactor

/// How long silence is borne: pure.
package struct LivenessTimes: Equatable, Sendable {
    /// Beyond the keep-alive: a heartbeat's answer may be lost and sent again.
    static let margin = Duration.milliseconds(1_500)
    /// Beyond the idle timeout, where a relay may be at fault, and another is looked for.
    static let relayed = Duration.seconds(4)
    /// How long a node may be neither online nor offline without a sign of life.
    static let grace = Duration.seconds(15)

    /// How long a heartbeat's answer takes at most, as a rule.
    static let answer = Duration.milliseconds(500)
    /// From the first time that an answer should have come to the end of patience a node is asked so often.
    static let probes = 24
    static let shortestInterval = Duration.milliseconds(250)
    /// Nodes asked a second at most, all together, when nobody answers: packets of some 40 bytes.
    static let probesRate = 4_000

    /// Silence after which a heartbeat has been missed.
    let heartbeat: Duration
    let idleTimeout: Duration
    /// Silence after which a heartbeat's answer is late, and the node is asked again.
    let late: Duration
    /// The same of a node whose answers were late not long ago: it is asked without QUIC's having done so.
    let lateWhereStrained: Duration
    /// From one time that a silent node is asked to the next.
    private(set) var probeInterval: Duration

    /// - Parameters:
    ///   - keepAlive: silence after which QUIC sends something that has to be answered.
    ///   - idleTimeout: silence after which it gives a connection up.
    package init(keepAlive: Duration, idleTimeout: Duration) {
        heartbeat = keepAlive + Self.margin
        self.idleTimeout = idleTimeout
        late = keepAlive + Self.answer
        lateWhereStrained = keepAlive / 3
        probeInterval = max(Self.shortestInterval, (idleTimeout - keepAlive) / Self.probes)
    }

    /// The same where so many nodes may be silent at once.
    func paced(among nodes: Int) -> LivenessTimes {
        var times = self
        times.probeInterval = max(probeInterval, .seconds(1) * nodes / Self.probesRate)
        return times
    }

    /// Silence after which who is reached that way is taken for gone.
    func patience(_ path: ConnectionPath.Kind) -> Duration {
        if case .relay = path { idleTimeout + Self.relayed } else { idleTimeout }
    }
}
