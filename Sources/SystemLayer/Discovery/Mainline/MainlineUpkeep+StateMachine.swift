internal import DeP2PReactor

/// When the BitTorrent DHT is spoken with: an item is put again and again as long as it is to be found, and where nobody
/// answers nobody is asked for a while, each time for longer: pure.
///
/// Calling order: ``keep(_:now:)`` and ``withdraw(_:)`` at any time, ``Action/put(_:)`` is answered by
/// ``put(_:isPlaced:now:)``; ``lookedUp(isAnswered:now:)`` after each lookup, which ``mayAsk(now:)`` has allowed.
struct MainlineUpkeep: TimedMachine, Sendable {
    /// Items kept up; the one that was given longest ago gives way.
    static let limit = 64
    /// BEP 44: an item may be dropped after two hours, and should be put every hour.
    static let interval = Duration.seconds(3_600)
    /// How long an item is kept up that nobody has given again: longer than a realm's epoch.
    static let lifetime = Duration.seconds(26 * 3_600)
    /// While nobody takes an item, or nobody answers: the first wait, and the longest; each is twice the one before.
    static let firstRetry = Duration.seconds(10)
    static let longestRetry = Duration.seconds(900)

    enum Action: Equatable, Sendable {
        case put(MutableItem)
    }

    private struct Kept: Sendable {
        let item: MutableItem
        let end: NetworkInstant
        /// Nil while it is put.
        var due: NetworkInstant?
        var retry = firstRetry
        var key: [UInt8] { item.publicKey + item.salt }
    }

    private var kept: [Kept] = []
    private var retry = firstRetry
    /// Until then nobody is asked.
    private var pause: NetworkInstant?

    var count: Int { kept.count }

    // MARK: Items

    /// From now on it is kept up. Who gave it puts it now, and tells by ``put(_:isPlaced:now:)``.
    mutating func keep(_ item: MutableItem, now: NetworkInstant) {
        withdraw(item.publicKey + item.salt)
        kept.append(Kept(item: item, end: now.advanced(by: Self.lifetime)))
        kept.removeFirst(max(kept.count - Self.limit, 0))
    }

    /// - Parameter key: public key and salt.
    mutating func withdraw(_ key: [UInt8]) { kept.removeAll { $0.key == key } }

    mutating func put(_ item: MutableItem, isPlaced: Bool, now: NetworkInstant) {
        // It may have been replaced meanwhile.
        guard let place = kept.firstIndex(where: { $0.item == item }) else { return }
        if isPlaced {
            kept[place].retry = Self.firstRetry
            kept[place].due = now.advanced(by: Self.interval)
        } else {
            kept[place].due = max(now.advanced(by: kept[place].retry), pause ?? now)
            kept[place].retry = min(kept[place].retry * 2, Self.longestRetry)
        }
    }

    // MARK: Silence

    func mayAsk(now: NetworkInstant) -> Bool { pause.map { $0 <= now } ?? true }

    mutating func lookedUp(isAnswered: Bool, now: NetworkInstant) {
        if isAnswered {
            retry = Self.firstRetry
            pause = nil
        } else if mayAsk(now: now) {
            pause = now.advanced(by: retry)
            retry = min(retry * 2, Self.longestRetry)
        }
    }

    /// What was silent may be heard now, and what others see of this node may be elsewhere.
    mutating func networkChanged(now: NetworkInstant) {
        (retry, pause) = (Self.firstRetry, nil)
        for place in kept.indices where kept[place].due != nil && kept[place].retry > Self.firstRetry {
            (kept[place].retry, kept[place].due) = (Self.firstRetry, now)
        }
    }

    // MARK: Time

    var wake: NetworkInstant? { kept.compactMap(\.due).min() }

    mutating func timerFired(now: NetworkInstant) -> [Action] {
        kept.removeAll { $0.end <= now }
        var actions: [Action] = []
        for place in kept.indices {
            guard let due = kept[place].due, due <= now else { continue }
            kept[place].due = nil
            actions.append(.put(kept[place].item))
        }
        return actions
    }
}
