internal import DeP2PIdentity

/// Which datagrams that anyone can send are looked at: weighed before they are copied. Pure, and of a fixed size.
package struct StrangerBudget: Sendable {
    /// No protocol beside QUIC sends longer ones: STUN keeps below the path's least MTU (RFC 8489 section 6.1), probes
    /// have 57 bytes, PCP at most 1,100 (RFC 6887 section 7).
    package static let largest = 1_500
    /// Datagrams of one subject: a round of hole punching sends a hundred, every node behind an office's NAT its own.
    package static let perSubject = SubjectBudget.Rate(perSecond: 500, burst: 2_000)

    private let largest: Int
    private var shares = SubjectBudget(perSubject)
    /// Datagrams that were too long, or beyond their subject's share.
    package private(set) var refused: UInt64 = 0

    /// - Parameter largest: bytes of the longest datagram that is taken.
    package init(largest: Int = StrangerBudget.largest) { self.largest = largest }

    /// Charges a datagram of `count` bytes to who sent it.
    package mutating func admits(_ count: Int, from remote: SocketAddress, now: NetworkInstant) -> Bool {
        guard count <= largest, shares.take(Subject(remote.ip), now: now) else {
            refused &+= 1
            return false
        }
        return true
    }
}
