internal import DeP2PReactor

/// Which of the paths that packets came over the peer has shown to receive on: pure.
///
/// With the first packet from a new address ngtcp2 takes that address for the current one and begins to validate it
/// (RFC 9000 9.3), yet a source address is what anyone writes on an envelope. Until the peer has answered from there
/// (RFC 9000 8.2), the address before it is the peer's.
///
/// Calling order: ``prove(_:now:)`` when the handshake is done and at each validation that succeeded;
/// ``standing(current:now:)`` to ask.
struct ValidatedPath {
    struct Ends: Hashable {
        let local: SocketAddress
        let remote: SocketAddress
    }

    /// Addresses besides the present one that the peer may come back to without another proof: ngtcp2 does not validate
    /// again what it has validated lately (RFC 9000 9.3 allows it).
    static let memory = 4
    static let remembered = Duration.seconds(10)

    private var proven: [(remote: SocketAddress, at: NetworkInstant)] = []
    private var latest: Ends?

    /// The peer has answered over that path.
    mutating func prove(_ ends: Ends, now: NetworkInstant) {
        remember(ends.remote, now)
        if latest == nil { latest = ends }
    }

    var isProven: Bool { latest != nil }

    /// The path that the peer has last been proven on; `nil` before the first proof.
    ///
    /// - Parameter current: the path that packets take now.
    mutating func standing(current: Ends?, now: NetworkInstant) -> Ends? {
        guard let current, latest != nil, current != latest else { return latest }
        let isProven = proven.contains {
            $0.remote == current.remote && now.duration(since: $0.at) < Self.remembered
        }
        guard isProven || current.remote == latest?.remote else { return latest }
        if let left = latest?.remote, left != current.remote { remember(left, now) }
        remember(current.remote, now)
        latest = current
        return current
    }

    private mutating func remember(_ remote: SocketAddress, _ now: NetworkInstant) {
        proven.removeAll { $0.remote == remote }
        proven.append((remote, now))
        if proven.count > Self.memory { proven.removeFirst() }
    }
}
