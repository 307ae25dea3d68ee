/// How many of something each subject gets: pure, and of a fixed size whatever addresses are forged.
///
/// Subjects share buckets by a hash that is keyed anew in every process: who forges sources at random empties the buckets
/// of others for a moment, but can neither make this grow nor choose whose.
public struct SubjectBudget: Sendable {
    /// Tokens a second, and at once.
    public struct Rate: Hashable, Sendable {
        public let perSecond: Int
        public let burst: Int

        public init(perSecond: Int, burst: Int) { (self.perSecond, self.burst) = (perSecond, burst) }
    }

    static let bucketCount = 1_024

    private var buckets: [TokenBucket]

    public init(_ rate: Rate) {
        buckets = Array(
            repeating: TokenBucket(rate: rate.perSecond, burst: rate.burst), count: Self.bucketCount)
    }

    /// Takes one of the tokens of `subject`, when there is one.
    public mutating func take(_ subject: Subject, now: NetworkInstant) -> Bool {
        var hasher = Hasher()
        hasher.combine(subject)
        let index = Int(UInt(bitPattern: hasher.finalize()) % UInt(Self.bucketCount))
        return buckets[index].takeNow(now: now)
    }
}
