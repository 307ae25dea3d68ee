internal import DeP2PReactor

/// Watches what a receiving side gets: bytes, whether they still move, and whether the sender talks more than it sends.
struct ReceiveMonitor {
    /// How slowly an offer may come beyond ``offerGrace``, in bytes a second: what is slower holds a place for nothing.
    static let leastOfferRate = 4 * 1024
    static let offerGrace = Duration.seconds(30)
    private let stall: Duration
    private var lastMoved: NetworkInstant
    private var lastReported: TransferProgress?
    private var emptyFrames: EmptyFrames
    private var offerBytes = 0
    /// Bytes in all, when known.
    var total: UInt64?
    /// Bytes that were held.
    var resumed: UInt64 = 0
    /// Bytes written.
    var stored: UInt64 = 0
    /// Zeros left out.
    var zeros: UInt64 = 0

    init(now: NetworkInstant, stall: Duration) {
        (lastMoved, self.stall) = (now, stall)
        emptyFrames = EmptyFrames(start: now)
    }

    mutating func handleRead(now: NetworkInstant) { lastMoved = now }

    mutating func handleOffer(bytes: Int) { offerBytes += bytes }

    /// False when the sender floods.
    mutating func handleEmptyFrame(now: NetworkInstant) -> Bool { emptyFrames.take(now: now) }

    mutating func isStalled(at now: NetworkInstant, isBusy: Bool) -> Bool {
        if isBusy { lastMoved = now }
        return now.duration(since: lastMoved) >= stall
    }

    /// Whether an offer that began to come at `began` takes longer than any network makes it.
    func isOfferTooSlow(since began: NetworkInstant, at now: NetworkInstant) -> Bool {
        let patience = Self.offerGrace + .seconds(offerBytes / Self.leastOfferRate)
        return now.duration(since: began) >= patience
    }

    /// `nil` when nothing changed since the last time.
    mutating func progress(summary: TransferSummary?) -> TransferProgress? {
        let bytes = resumed + stored + zeros
        let progress = TransferProgress(
            bytes: bytes, total: total ?? summary?.bytes, resumedBytes: resumed, zeroBytes: zeros)
        guard bytes > 0, progress != lastReported else { return nil }
        lastReported = progress
        return progress
    }
}
