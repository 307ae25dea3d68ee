internal import DeP2PIdentity
internal import DeP2PReactor

/// Bytes of a TCP segment, its options included, that neither side of a leg goes beyond.
enum SegmentSize: Int32 {
    /// What every IPv6 link carries (RFC 8200 5), tunnels and mobile networks as a rule too: 1280 less the headers.
    case usual = 1_220
    /// What every IPv4 host takes (RFC 9293 3.7.1).
    case least = 536
}

/// The hosts to which the usual segments were lost where the least came through: pure.
struct NarrowHosts {
    static let limit = 64
    /// After which the usual ones are tried again.
    static let lifetime = Duration.seconds(600)

    /// The latest last.
    private var noted: [(host: IPAddress, until: NetworkInstant)] = []

    mutating func note(_ host: IPAddress, now: NetworkInstant) {
        noted.removeAll { $0.host == host }
        if noted.count == Self.limit { noted.removeFirst() }
        noted.append((host, now.advanced(by: Self.lifetime)))
    }

    func contains(_ host: IPAddress, now: NetworkInstant) -> Bool {
        noted.contains { $0.host == host && $0.until > now }
    }
}
