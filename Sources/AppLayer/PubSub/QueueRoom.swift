internal import DeP2PReactor

/// Room for what waits for peers, of all of them together.
///
/// A peer may have as much waiting as there is room left (dynamic thresholds: A. K. Choudhury and E. L. Hahne, 1998), and at
/// most its own limit. So those who take nothing, however many they are, leave some room to those who do.
@NetworkActor
final class QueueRoom {
    private let limit: Int
    private(set) var used = 0
    /// Whether something was left out for want of room that others took.
    private var wasShort = false

    init(limit: Int = PubSubLimits.queuedBytes) { self.limit = limit }

    /// Whether a message of `count` bytes may wait behind `queued` others of the same peer.
    func takes(_ count: Int, behind queued: Int) -> Bool {
        guard queued + count <= PubSubLimits.queuedBytesPerPeer else { return false }
        if queued + count <= limit - used { return true }
        wasShort = true
        return false
    }

    /// The same for what is no message, behind others of its kind: it is little, and must not be left out.
    func takesControl(_ count: Int, behind queued: Int) -> Bool {
        queued + count <= PubSubLimits.queuedControlBytes
            && used + count <= limit + PubSubLimits.queuedControlBytes
    }

    func take(_ count: Int) { used += count }

    func giveBack(_ count: Int) { used -= count }

    /// Whether there is room again after there was none, once each time.
    func hasRecovered() -> Bool {
        guard wasShort, used <= limit / 2 else { return false }
        wasShort = false
        return true
    }
}
