internal import Identity
internal import QUIC

/// How many responses each source gets: pure, and of a fixed size whatever is forged.
///
/// Sources share buckets by a hash that is keyed anew in every process: who forges sources at random empties the buckets
/// of others for a moment, but can neither make this grow nor choose whose.
public struct STUNBudget: Sendable {
    /// Tokens a second, and at once.
    public struct Rate: Hashable, Sendable {
        public let perSecond: Int
        public let burst: Int
    }

    static let bucketCount = 1_024

    private var buckets: [TokenBucket]

    init(_ rate: Rate) {
        buckets = Array(
            repeating: TokenBucket(rate: rate.perSecond, burst: rate.burst), count: Self.bucketCount)
    }

    /// Takes one of the tokens of the subject of `source`, when there is one.
    mutating func take(_ source: IPAddress, now: NetworkInstant) -> Bool {
        var hasher = Hasher()
        hasher.combine(Subject(source))
        let index = Int(UInt(bitPattern: hasher.finalize()) % UInt(Self.bucketCount))
        return buckets[index].takeNow(now: now)
    }
}
