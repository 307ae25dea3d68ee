internal import DeP2PIdentity
internal import DeP2PReactor

/// Which members that have shown themselves are being connected with: pure.
///
/// What shows a member is true for as long as it is there, and can be repeated by anybody ever after: whoever fills a network
/// with what members told that have gone must not keep this node from those that are there. So who can't be reached is left
/// alone for a while, and gives way to others as soon as it has had a fair chance.
///
/// Calling order: ``begin(_:now:)``, where that is to wait ``waited(_:)`` after ``chance`` and once more; for each try ``connected(_:)`` if it came to that, and ``tried(_:now:)`` when it is over;
/// ``end(_:)``.
struct Meetings {
    /// Members being connected with at once, and how often each is tried.
    static let limit = 16
    static let attempts = 4
    /// After that others may have its place: members of one network answer within milliseconds.
    static let chance = Duration.seconds(2)
    /// How long who could not be reached is left alone, and how many are remembered for that.
    static let rest = Duration.seconds(120)
    static let restLimit = 512
    /// Members that wait for a place; later ones are met when they show themselves again.
    static let waitingLimit = 128

    enum OnBegin: Equatable {
        case ignored
        /// All places are taken by some that have had no fair chance yet.
        case later
        /// In the place of another, when there was none free.
        case begun(insteadOf: [Address]?)
    }

    private struct Meeting {
        let number: UInt64
        var since: NetworkInstant
        var failures = 0
        var isConnected = false
    }

    private var meetings: [[Address]: Meeting] = [:]
    private var resting: [[Address]: NetworkInstant] = [:]
    private var waiting: Set<[Address]> = []
    private var count: UInt64 = 0

    /// A member has shown itself at these addresses.
    mutating func begin(_ addresses: [Address], now: NetworkInstant) -> OnBegin {
        guard meetings[addresses] == nil, !waiting.contains(addresses),
            resting[addresses].map({ $0 <= now }) ?? true
        else { return .ignored }
        var former: [Address]?
        if meetings.values.count(where: { !$0.isConnected }) >= Self.limit {
            guard let least = leastPromising(now: now) else {
                return waiting.count < Self.waitingLimit && waiting.insert(addresses).inserted ? .later : .ignored
            }
            leave(least, now: now)
            former = least
        }
        count += 1
        meetings[addresses] = Meeting(number: count, since: now)
        return .begun(insteadOf: former)
    }

    private func leastPromising(now: NetworkInstant) -> [Address]? {
        let had = meetings.filter { _, meeting in
            !meeting.isConnected && (meeting.failures > 0 || now.duration(since: meeting.since) >= Self.chance)
        }
        return had.min { ($1.value.failures, $0.value.number) < ($0.value.failures, $1.value.number) }?.key
    }

    mutating func waited(_ addresses: [Address]) { waiting.remove(addresses) }

    func isUnderWay(_ addresses: [Address]) -> Bool { meetings[addresses] != nil }

    mutating func connected(_ addresses: [Address]) { meetings[addresses]?.isConnected = true }

    /// A try, or the connection that came of it, is over.
    ///
    /// - Returns: how many have failed one after the other; `nil` when it is not tried again.
    mutating func tried(_ addresses: [Address], now: NetworkInstant) -> Int? {
        guard var meeting = meetings[addresses] else { return nil }
        meeting.failures = meeting.isConnected ? 0 : meeting.failures + 1
        (meeting.isConnected, meeting.since) = (false, now)
        meetings[addresses] = meeting
        guard meeting.failures >= Self.attempts else { return meeting.failures }
        leave(addresses, now: now)
        return nil
    }

    /// It is not wanted any more; whoever shows himself again is met again.
    mutating func end(_ addresses: [Address]) { meetings[addresses] = nil }

    private mutating func leave(_ addresses: [Address], now: NetworkInstant) {
        meetings[addresses] = nil
        if resting.count >= Self.restLimit {
            resting = resting.filter { $0.value > now }
            if resting.count >= Self.restLimit, let first = resting.min(by: { $0.value < $1.value }) {
                resting[first.key] = nil
            }
        }
        resting[addresses] = now.advanced(by: Self.rest)
    }
}
