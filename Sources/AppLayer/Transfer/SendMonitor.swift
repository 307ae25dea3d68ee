internal import DeP2PReactor

/// Watches the bytes of a sending side: how many have arrived, and whether they still move.
struct SendMonitor {
    private let acknowledgedBefore: UInt64
    private let stall: Duration
    private let total: UInt64?
    private var written: UInt64 = 0
    private var lastAcknowledged: UInt64
    private var lastMoved: NetworkInstant
    private var lastWritten: NetworkInstant
    private var lastReported: TransferProgress?
    private var finished: TransferSummary?
    private var emptyFrames: EmptyFrames
    /// Bytes that the receiver held.
    var resumed: UInt64 = 0
    /// Zeros that were sent as a number.
    var zeros: UInt64 = 0

    init(acknowledgedBefore: UInt64, now: NetworkInstant, stall: Duration, total: UInt64?) {
        (self.acknowledgedBefore, self.stall, self.total) = (acknowledgedBefore, stall, total)
        (lastAcknowledged, lastMoved, lastWritten) = (acknowledgedBefore, now, now)
        emptyFrames = EmptyFrames(start: now)
    }

    mutating func handleWrite(_ count: Int, now: NetworkInstant) {
        if unacknowledged(lastAcknowledged) == 0 { lastMoved = now }
        written += UInt64(count)
        lastWritten = now
    }

    /// A receiver that only says that it is alive counts unless bytes are on their way to it, and counts always while the
    /// next step is its own.
    mutating func handleFrame(_ frame: TransferReceiverFrame, now: NetworkInstant) {
        if frame == .working(waiting: 0), unacknowledged(lastAcknowledged) > 0 { return }
        lastMoved = now
    }

    /// False when the receiver floods.
    mutating func handleEmptyFrame(now: NetworkInstant) -> Bool { emptyFrames.take(now: now) }

    mutating func handleFinished(_ summary: TransferSummary) { finished = summary }

    /// How long nothing was written.
    func silence(at now: NetworkInstant) -> Duration { now.duration(since: lastWritten) }

    mutating func isStalled(acknowledged: UInt64, now: NetworkInstant, isAwaitingReceiver: Bool) -> Bool {
        if acknowledged != lastAcknowledged || (unacknowledged(acknowledged) == 0 && !isAwaitingReceiver) {
            lastMoved = now
        }
        lastAcknowledged = acknowledged
        return now.duration(since: lastMoved) >= stall
    }

    /// `nil` when nothing changed since the last time.
    ///
    /// Framing counts as bytes until the end: a few in a million.
    mutating func progress(acknowledged: UInt64) -> TransferProgress? {
        var bytes = resumed + zeros + (written - unacknowledged(acknowledged))
        if let total { bytes = min(bytes, total) }
        bytes = max(bytes, lastReported?.bytes ?? 0)
        if let finished { bytes = finished.bytes }
        let progress = TransferProgress(
            bytes: bytes, total: finished?.bytes ?? total, resumedBytes: resumed, zeroBytes: zeros)
        guard progress != lastReported else { return nil }
        lastReported = progress
        return progress
    }

    private func unacknowledged(_ acknowledged: UInt64) -> UInt64 {
        written - min(written, acknowledged - min(acknowledged, acknowledgedBefore))
    }
}
