internal import DeP2PIdentity
internal import DeP2PReactor

/// Bytes of a TCP segment, its options included, that neither side of a leg goes beyond.
enum SegmentSize: Int32 {
    /// What every IPv6 link carries (RFC 8200 5), tunnels and mobile networks as a rule too: 1280 less the headers.
    case usual = 1_220
    /// What every IPv4 host takes (RFC 9293 3.7.1).
    case least = 536
}

/// What dials have shown of the ways to hosts: pure.
struct NarrowHosts {
    enum Finding: Equatable {
        /// The usual segments were lost where the least came through.
        case narrow
        /// TCP stood, and nothing came over it until the dial was given up.
        case suspected
    }

    static let limit = 64

    /// The latest last.
    private var noted: [(host: IPAddress, finding: Finding, until: NetworkInstant)] = []

    /// After which it is forgotten: then the usual ones are tried as everywhere.
    static func lifetime(_ finding: Finding) -> Duration { finding == .narrow ? .seconds(600) : .seconds(30) }

    mutating func note(_ finding: Finding, of host: IPAddress, now: NetworkInstant) {
        forget(host)
        if noted.count == Self.limit { noted.removeFirst() }
        noted.append((host, finding, now.advanced(by: Self.lifetime(finding))))
    }

    /// What went over TCP there was followed by nothing: it is not said that long packets are why.
    mutating func suspect(_ host: IPAddress, now: NetworkInstant) {
        if finding(of: host, now: now) == nil { note(.suspected, of: host, now: now) }
    }

    /// The usual segments came through.
    mutating func forget(_ host: IPAddress) { noted.removeAll { $0.host == host } }

    func finding(of host: IPAddress, now: NetworkInstant) -> Finding? {
        noted.first { $0.host == host && $0.until > now }?.finding
    }
}
