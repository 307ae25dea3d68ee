package import DeP2PIdentity
package import DeP2PReactor
internal import DequeModule

/// Puts the messages of one topic into each author's order, each once, and notices what is missing: pure.
///
/// An author numbers the messages of a topic in a row (``MessageNumbers``). One that comes before its turn waits for those
/// before it, which are on another way or are asked for meanwhile. What is missing is told and given up ``patience`` after it
/// showed, but not while those before it still come. A number far from those known is another run of the author's, or another
/// process with its identity: it has an order of its own.
package struct DeliveryOrder: TimedMachine {
    package enum Action: Equatable {
        case message(PubSubMessage)
        /// So many of an author's are missing here.
        case gap(NodeID, Int)
    }

    /// Numbers that are further apart belong to two runs.
    static let runDistance: UInt64 = 1 << 21
    static let authors = 4_096
    static let runsPerAuthor = 4
    /// What waits for its turn, of all authors.
    static let heldBytes = 16 * 1024 * 1024
    static let heldCount = 8_192
    static let patience = Duration.seconds(5)
    /// For what may have been sent before the first that came, and passes through others while the author's own connection
    /// begins: whether anything was is not known, and nothing is told. Each that comes from before shows that others may.
    static let firstPatience = Duration.milliseconds(500)

    private struct Held {
        let message: PubSubMessage
        let since: NetworkInstant
    }

    private struct Run {
        var next: UInt64
        /// Whether anything was delivered of it.
        var isKnown = false
        /// By their numbers, the lowest first.
        var held = Deque<Held>()
        var waitsUntil: NetworkInstant?
        var used: UInt64

        enum Place { case late, turn, early }

        mutating func take(_ message: PubSubMessage, used: UInt64, now: NetworkInstant) -> Place {
            guard message.sequence >= next else { return .late }
            let index = place(of: message.sequence)
            guard index == held.count || held[index].message.sequence != message.sequence else { return .late }
            self.used = used
            guard message.sequence > next else { return .turn }
            held.insert(Held(message: message, since: now), at: index)
            if isKnown {
                waitsUntil = waitsUntil ?? now.advanced(by: DeliveryOrder.patience)
            } else if index == 0 {
                waitsUntil = now.advanced(by: DeliveryOrder.firstPatience)
            }
            return .early
        }

        /// Of the first that is not before `sequence`; as a rule it is the last that came.
        private func place(of sequence: UInt64) -> Int {
            var (low, high) = (0, held.count)
            if let last = held.last, last.message.sequence < sequence { return high }
            while low < high {
                let middle = (low + high) / 2
                if held[middle].message.sequence < sequence { low = middle + 1 } else { high = middle }
            }
            return low
        }
    }

    private struct Key: Hashable {
        let author: NodeID
        let run: Int
    }

    private var runs: [NodeID: [Run]] = [:]
    private var waiting: Set<Key> = []
    private var uses: UInt64 = 0
    private(set) var heldBytes = 0
    private(set) var heldCount = 0

    package init() {}

    package var wake: NetworkInstant? { waiting.compactMap { self[$0]?.waitsUntil }.min() }

    /// A message has come.
    package mutating func take(_ message: PubSubMessage, now: NetworkInstant) -> [Action] {
        let key = run(of: message)
        uses &+= 1
        // Changed where it lies: a copy would cost as much as all that waits.
        switch runs[message.author]?[key.run].take(message, used: uses, now: now) {
        case nil, .late: return []
        case .turn:
            var actions: [Action] = []
            deliver(message, of: key, &actions)
            // Those before what waits are coming: the next that is missing has a time of its own.
            wait(key, until: now.advanced(by: Self.patience))
            return actions
        case .early: break
        }
        waiting.insert(key)
        heldBytes += message.encoded.count
        heldCount += 1
        // No author keeps the others' messages back by leaving out its own.
        let isOver = heldBytes > Self.heldBytes || heldCount > Self.heldCount
        return isOver ? giveUp(key) : []
    }

    package mutating func timerFired(now: NetworkInstant) -> [Action] {
        let due = waiting.filter { self[$0]?.waitsUntil.map { $0 <= now } ?? true }
        let ordered = due.sorted { ($0.author, $0.run) < ($1.author, $1.run) }
        var actions: [Action] = []
        for key in ordered {
            repeat { actions += giveUp(key) } while self[key]?.waitsUntil.map { $0 <= now } ?? false
        }
        return actions
    }

    private subscript(key: Key) -> Run? {
        runs[key.author].flatMap { $0.indices.contains(key.run) ? $0[key.run] : nil }
    }

    /// Goes on behind what is missing. What is missing after that showed when the next that waits came.
    private mutating func giveUp(_ key: Key) -> [Action] {
        let expected = self[key].flatMap { $0.isKnown ? $0.next : nil }
        guard let message = popFirst(of: key) else {
            wait(key, until: nil)
            return []
        }
        var actions: [Action] = expected.map { [.gap(key.author, Int(clamping: message.sequence - $0))] } ?? []
        deliver(message, of: key, &actions)
        wait(key, until: self[key]?.held.first?.since.advanced(by: Self.patience))
        return actions
    }

    /// Delivers what has its turn, and what waited behind it.
    private mutating func deliver(_ message: PubSubMessage, of key: Key, _ actions: inout [Action]) {
        actions.append(.message(message))
        var next = message.sequence &+ 1
        while self[key]?.held.first?.message.sequence == next, let waited = popFirst(of: key) {
            actions.append(.message(waited))
            next &+= 1
        }
        runs[key.author]?[key.run].next = next
        runs[key.author]?[key.run].isKnown = true
    }

    /// Nothing waits where nothing is held.
    private mutating func wait(_ key: Key, until due: NetworkInstant?) {
        let isHolding = !(self[key]?.held.isEmpty ?? true)
        runs[key.author]?[key.run].waitsUntil = isHolding ? due : nil
        if isHolding { waiting.insert(key) } else { waiting.remove(key) }
    }

    private mutating func popFirst(of key: Key) -> PubSubMessage? {
        guard self[key] != nil, let first = runs[key.author]?[key.run].held.popFirst() else { return nil }
        heldBytes -= first.message.encoded.count
        heldCount -= 1
        return first.message
    }

    /// Forgets what waits.
    private mutating func drop(_ key: Key) {
        while popFirst(of: key) != nil {}
        waiting.remove(key)
    }

    // MARK: Runs

    private mutating func run(of message: PubSubMessage) -> Key {
        let author = message.author
        let known = runs[author] ?? []
        if let index = known.firstIndex(where: { Self.isNear($0.next, message.sequence) }) {
            return Key(author: author, run: index)
        }
        uses &+= 1
        let run = Run(next: MessageNumbers.first(before: message.sequence), used: uses)
        if known.isEmpty { makeRoom() }
        guard known.count >= Self.runsPerAuthor,
            let oldest = known.indices.min(by: { known[$0].used < known[$1].used })
        else {
            runs[author, default: []].append(run)
            return Key(author: author, run: known.count)
        }
        let key = Key(author: author, run: oldest)
        drop(key)
        runs[author]?[oldest] = run
        return key
    }

    private static func isNear(_ left: UInt64, _ right: UInt64) -> Bool {
        (left > right ? left - right : right - left) < runDistance
    }

    /// Beyond the bound it is forgotten of whom nothing was heard for longest: his next message is a first one.
    private mutating func makeRoom() {
        guard runs.count >= Self.authors else { return }
        let idle = runs.filter { $0.value.allSatisfy(\.held.isEmpty) }
        let oldest = (idle.isEmpty ? runs : idle).min { left, right in
            (left.value.map(\.used).max() ?? 0) < (right.value.map(\.used).max() ?? 0)
        }
        guard let oldest else { return }
        for index in oldest.value.indices { drop(Key(author: oldest.key, run: index)) }
        runs[oldest.key] = nil
    }
}

/// How a node numbers its messages of one topic: from the time at which it began, in a row, so that who lacks one sees it,
/// and that a later run's are behind it: pure.
package struct MessageNumbers: Sendable {
    /// The number of the first of a run has that many zero bits at its end.
    static let bits: UInt64 = 22
    /// Of a run, so many before the first that comes may be on their way: less than what makes it another run.
    static let reach: UInt64 = 1 << 20

    private var next: UInt64

    /// - Parameter milliseconds: since 1970.
    package init(startingAt milliseconds: UInt64) {
        next = (milliseconds & (1 << (64 - Self.bits) - 1)) << Self.bits
    }

    package mutating func take() -> UInt64 {
        defer { next &+= 1 }
        return next
    }

    /// Which number to begin with where this is the first that came.
    static func first(before sequence: UInt64) -> UInt64 {
        sequence - min(sequence & (1 << bits - 1), reach)
    }
}
