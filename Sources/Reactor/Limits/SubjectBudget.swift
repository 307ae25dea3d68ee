/// How many of something each subject gets: pure, and of a fixed size whatever addresses are forged.
///
/// Subjects share buckets by a hash that is keyed anew in every process: who forges sources at random empties the buckets
/// of others for a moment, but can neither make this grow nor choose whose.
package struct SubjectBudget: Sendable {
    /// Tokens a second, and at once.
    package struct Rate: Hashable, Sendable {
        package let perSecond: Int
        package let burst: Int

        package init(perSecond: Int, burst: Int) { (self.perSecond, self.burst) = (perSecond, burst) }
    }

    static let bucketCount = 1_024

    private var buckets: [TokenBucket]

    package init(_ rate: Rate) {
        buckets = Array(
            repeating: TokenBucket(rate: rate.perSecond, burst: rate.burst), count: Self.bucketCount)
    }

    /// Takes one of the tokens of `subject`, when there is one.
    package mutating func take(_ subject: Subject, now: NetworkInstant) -> Bool {
        var hasher = Hasher()
        hasher.combine(subject)
        let index = Int(UInt(bitPattern: hasher.finalize()) % UInt(Self.bucketCount))
        return buckets[index].takeNow(now: now)
    }
}
