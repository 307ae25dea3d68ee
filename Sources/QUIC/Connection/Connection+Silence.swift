internal import CDeP2PQUICShim
internal import DeP2PReactor

/// How long nothing may come from the peer.
///
/// Who says nothing for ``EndpointConfiguration/idleTimeout`` is gone, and so is the connection when no work is under way
/// on it. Work that is (``isPatient``) outlives that: a machine that is stopped for a while, a cable that is pulled and put
/// back. Then QUIC's own idle timeout is what ends it, which both sides have told each other and which is longer (RFC 9000
/// 10.1 lets either side close sooner).
extension Connection {
    /// How late a timer is where this machine stood still, asleep or stopped.
    private static let standstill = Duration.seconds(2)
    /// From one look to the next while silence is borne.
    private static let patientLook = Duration.seconds(1)

    /// Whether work is under way that outlives silence.
    package var isPatient: Bool { streams.values.contains(where: \.isPatient) }

    /// Whether the peer has been heard since on a later connection: this one is left over from a process that has ended, and
    /// what it held (files that were begun) is wanted by who came back.
    private var isFollowed: Bool {
        endpoint.connections(with: provenNodeID).contains { $0.id > id && $0.receivedAt > receivedAt }
    }

    /// Whether the timer that is handled now is so late that this machine has stood still.
    var hasStoodStill: Bool { endpoint.clock.now > timerDeadline.advanced(by: Self.standstill) }

    /// Begins to watch, once the handshake is done.
    func watchSilence() {
        let configuration = endpoint.configuration
        guard configuration.idleTimeout < configuration.transportIdleTimeout else { return }
        silenceLook = endpoint.clock.now.advanced(by: configuration.idleTimeout)
    }

    /// Ends the connection when the peer has been silent for too long; says when to look again otherwise.
    func lookForSilence() {
        let now = endpoint.clock.now
        guard silenceLook != .distantFuture, let quic else { return }
        // The peer may have stood still as well: it is asked first, and has the whole time to answer.
        if hasStoodStill { silenceLook = max(silenceLook, now.advanced(by: endpoint.configuration.idleTimeout)) }
        guard silenceLook <= now else { return }
        // RFC 9000 10.1: never less than three times the PTO.
        let threePTO = Duration.nanoseconds(Int64(clamping: dep2p_quic_pto(quic))) * 3
        let due = receivedAt.advanced(by: max(endpoint.configuration.idleTimeout, threePTO))
        if due > now {
            silenceLook = due
        } else if isPatient, !isFollowed {
            silenceLook = now.advanced(by: Self.patientLook)
        } else {
            finish(CloseReason(.idleTimeout, reason: silenceCause))
        }
    }
}
