internal import CDeP2PQUICShim
internal import DeP2PReactor

/// When datagrams are as long as a whole TLS record, where all of the way may be TCP: pure.
///
/// Half the packets are half the work of both ends. But a congestion window of four packets, the least there is, would then
/// be more than a slow leg's queue takes (``DatagramQueue/smallest``), and each of them holds up what is behind it. So they
/// are for a path that has carried much and is fast just now; on any other, two fill a record.
///
/// Calling order: ``look(sent:now:isOverTCP:)`` before each burst, ``pathChanged(sent:)`` when the path is another.
struct WideDatagrams {
    /// What fits into a record.
    static let whole = Int(DEP2P_RECORD_DATAGRAM)
    static let half = Int(DEP2P_WIDE_DATAGRAM)
    /// Bytes that a path carries before.
    static let proof: UInt64 = 16 * 1024 * 1024
    /// So many bytes in this time are fast: 4 MiB a second, at which a record takes 4 ms.
    static let stretch: UInt64 = 1024 * 1024
    static let time = Duration.milliseconds(250)

    private(set) var areDue = false
    /// How much will have been sent at the next look, and when the last was.
    private var next = proof - stretch
    private var lookedAt: NetworkInstant?

    /// - Parameter sent: by the connection so far, over all paths.
    mutating func look(sent: UInt64, now: NetworkInstant, isOverTCP: () -> Bool) {
        guard sent >= next else { return }
        areDue = lookedAt.map { now.duration(since: $0) <= Self.time && isOverTCP() } ?? false
        lookedAt = now
        next = sent + Self.stretch
    }

    mutating func pathChanged(sent: UInt64) {
        (areDue, lookedAt, next) = (false, nil, sent + Self.proof - Self.stretch)
    }
}
