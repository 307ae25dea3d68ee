internal import DeP2PIdentity
internal import DeP2PReactor

/// How many datagrams may go to addresses that have not answered yet, over all connections together: pure.
///
/// A subject has ``burst`` of them and gets ``rate`` more a second; one that answers, under a connection's keys, starts
/// anew, once in ``forgiveness``: its neighbours at that address may be who suffers. Peers who name a victim's addresses
/// get no more than that out of this node, however many they are.
struct ProbeBudget {
    /// To one subject at once.
    static let burst = 96
    /// To it later on, a second.
    static let rate = 2
    /// To all addresses, a second.
    static let totalRate = 1_000
    /// Subjects remembered; beyond it none that is new is probed until old ones have their full budget again.
    static let subjectLimit = 4_096
    /// From one new start to the next.
    static let forgiveness = Duration.seconds(1)

    private struct Entry {
        var bucket: TokenBucket
        var fullAt: NetworkInstant
        var forgivenAt: NetworkInstant?

        init(now: NetworkInstant) {
            bucket = TokenBucket(rate: rate, burst: burst, now: now)
            fullAt = now
        }
    }

    private var buckets: [Subject: Entry] = [:]
    private var total = TokenBucket(rate: totalRate, burst: totalRate)

    var subjectCount: Int { buckets.count }

    /// Whether one more may go to `ip` now.
    mutating func take(_ ip: IPAddress, now: NetworkInstant) -> Bool {
        let key = Subject(ip)
        if buckets[key] == nil, buckets.count >= Self.subjectLimit {
            buckets = buckets.filter { $0.value.fullAt > now }
            guard buckets.count < Self.subjectLimit else { return false }
        }
        var entry = buckets[key] ?? Entry(now: now)
        guard entry.bucket.takeNow(now: now) else { return false }
        entry.fullAt = max(entry.fullAt, now).advanced(by: .seconds(1) / Self.rate)
        buckets[key] = entry
        return total.takeNow(now: now)
    }

    /// Somebody at `ip` answered who has a connection's keys.
    mutating func answered(_ ip: IPAddress, now: NetworkInstant) {
        guard let entry = buckets[Subject(ip)] else { return }
        if let last = entry.forgivenAt, now.duration(since: last) < Self.forgiveness { return }
        var fresh = Entry(now: now)
        fresh.forgivenAt = now
        buckets[Subject(ip)] = fresh
    }
}
