internal import Identity
internal import QUIC

/// How many datagrams may go to addresses that have not answered yet, over all connections together: pure.
///
/// An IP address has ``burst`` of them and gets ``rate`` more a second; one that answers, under a connection's keys,
/// starts anew. Peers who name a victim's addresses get no more than that out of this node, however many they are.
struct ProbeBudget {
    /// To one IP address (one /64 of IPv6) at once.
    static let burst = 96
    /// To it later on, a second.
    static let rate = 2
    /// To all addresses, a second.
    static let totalRate = 1_000
    /// Addresses remembered; beyond it none that is new is probed until old ones have their full budget again.
    static let addressLimit = 4_096

    private var buckets: [IPAddress: (bucket: TokenBucket, fullAt: NetworkInstant)] = [:]
    private var total = TokenBucket(rate: totalRate, burst: totalRate)

    var addressCount: Int { buckets.count }

    /// Whether one more may go to `ip` now.
    mutating func take(_ ip: IPAddress, now: NetworkInstant) -> Bool {
        let key = Self.key(ip)
        if buckets[key] == nil, buckets.count >= Self.addressLimit {
            buckets = buckets.filter { $0.value.fullAt > now }
            guard buckets.count < Self.addressLimit else { return false }
        }
        var entry = buckets[key] ?? (TokenBucket(rate: Self.rate, burst: Self.burst, now: now), now)
        guard entry.bucket.takeNow(now: now) else { return false }
        entry.fullAt = max(entry.fullAt, now).advanced(by: .seconds(1) / Self.rate)
        buckets[key] = entry
        return total.takeNow(now: now)
    }

    /// Somebody at `ip` answered who has a connection's keys.
    mutating func answered(_ ip: IPAddress) { buckets[Self.key(ip)] = nil }

    private static func key(_ ip: IPAddress) -> IPAddress { ip.family == .v6 ? ip.prefix(64) : ip }
}
