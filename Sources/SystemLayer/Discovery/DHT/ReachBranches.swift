/// The space within reach of a key, cut where one bit decides: the half that is farthest from the key, half of the rest, and so
/// on. Honest nodes lie in the first ones, by their size; whoever crowds round the key is in the last.
struct ReachBranches: Sendable {
    static let count = 6

    private let bits: Int

    init(reach: XORDistance) { bits = reach.leadingZeroBitCount }

    /// - Parameter distance: one that is less than the reach.
    func index(of distance: XORDistance) -> Int {
        min(max(distance.leadingZeroBitCount - bits, 0), Self.count - 1)
    }

    /// Of all k that are expected within reach, no more than so many are expected in the branch.
    static func share(of index: Int) -> Int { max(DHT.replication >> index, 4) }
}
