internal import DeP2PIdentity

/// What stands in the announce slots of an epoch, as far as it was found, and where a member announces itself: pure.
///
/// There are few slots, and may be many members: those that came last stand in them, which is enough to meet everybody through
/// them. A member takes a slot that nobody has, or the oldest when that has not been renewed for long; when all are fresh it is
/// found by connecting with those, unless none of them is there: then it takes the oldest too.
struct AnnounceBoard: Sendable {
    static let slots: UInt8 = 8
    /// Milliseconds. A member that is there renews its announcement this often,
    static let renewal: UInt64 = 2_700_000
    /// and one that has not for this long is thought to be gone.
    static let staleness = 2 * renewal
    /// An announcement from so far in the future nobody has made in good faith: it counts for nothing. Its slot is lost for the
    /// epoch, since what is stored may only grow.
    static let farthestFuture = RealmEpoch.overlap + 3_600_000

    struct Entry: Equatable, Sendable {
        let nodeID: NodeID
        let seq: Int64
    }

    enum Decision: Equatable, Sendable {
        /// It stands there, and says what it should.
        case stay
        /// Others do.
        case leaveOut
        /// It is to stand in that slot, with a greater number than this.
        case write(UInt8, above: Int64)
    }

    private(set) var entries: [UInt8: Entry] = [:]

    /// The newest counts, however many older ones are shown.
    mutating func found(_ entry: Entry, in slot: UInt8) {
        guard entries[slot].map({ entry.seq > $0.seq }) ?? true else { return }
        entries[slot] = entry
    }

    /// Whether an item with that number is news.
    func isNews(_ seq: Int64, in slot: UInt8) -> Bool { entries[slot].map { seq > $0.seq } ?? true }

    /// - Parameters:
    ///   - own: who is to announce itself.
    ///   - changedAt: since when it has something else to say: what it said before does not count.
    ///   - time: wall clock, as the others in milliseconds.
    ///   - isLonely: whether it has met nobody.
    ///   - random: which of the free ones, so that two that begin at once rarely take the same.
    func decision(for own: NodeID, changedAt: UInt64, at time: UInt64, isLonely: Bool, random: UInt64) -> Decision {
        let usable = (0..<Self.slots).filter { isUsable($0, at: time) }
        let mine = usable.filter { entries[$0]?.nodeID == own }
        if let slot = mine.max(by: { seq(of: $0) < seq(of: $1) }) {
            let needed = max(changedAt, time - min(time, Self.renewal))
            return seq(of: slot) >= Self.number(needed) ? .stay : .write(slot, above: seq(of: slot))
        }
        let free = usable.filter { entries[$0] == nil }
        if !free.isEmpty { return .write(free[Int(random % UInt64(free.count))], above: -1) }
        guard let oldest = usable.min(by: { seq(of: $0) < seq(of: $1) }) else { return .leaveOut }
        let isStale = seq(of: oldest) < Self.number(time - min(time, Self.staleness))
        return isStale || isLonely ? .write(oldest, above: seq(of: oldest)) : .leaveOut
    }

    private func isUsable(_ slot: UInt8, at time: UInt64) -> Bool {
        let (latest, overflows) = time.addingReportingOverflow(Self.farthestFuture)
        return overflows || seq(of: slot) <= Self.number(latest)
    }

    private func seq(of slot: UInt8) -> Int64 { entries[slot]?.seq ?? -1 }

    private static func number(_ time: UInt64) -> Int64 { Int64(clamping: time) }
}
