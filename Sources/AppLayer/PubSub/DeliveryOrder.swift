package import DeP2PIdentity
package import DeP2PReactor

/// Puts the messages of one topic into each author's order, each once, and notices what is missing: pure.
///
/// An author numbers the messages of a topic in a row (``MessageNumbers``). One that comes before its turn waits for those
/// before it, which are on another way or are asked for meanwhile; after ``patience`` what is missing is told and given up. A
/// number far from those known is another run of the author's, or another process with its identity: it has an order of its
/// own.
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
    /// begins: whether anything was is not known, and nothing is told.
    static let firstPatience = Duration.milliseconds(200)

    private struct Run {
        var next: UInt64
        /// Whether anything was delivered of it.
        var isKnown = false
        var held: [UInt64: PubSubMessage] = [:]
        var waitsUntil: NetworkInstant?
        var used: UInt64

        enum Place { case late, turn, early }

        mutating func take(_ message: PubSubMessage, used: UInt64, now: NetworkInstant) -> Place {
            guard message.sequence >= next, held[message.sequence] == nil else { return .late }
            self.used = used
            guard message.sequence > next else { return .turn }
            held[message.sequence] = message
            waitsUntil = waitsUntil ?? now.advanced(by: isKnown ? DeliveryOrder.patience : DeliveryOrder.firstPatience)
            return .early
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
            return actions
        case .early: break
        }
        waiting.insert(key)
        heldBytes += message.encoded.count
        heldCount += 1
        // No author keeps the others' messages back by leaving out its own.
        let isOver = heldBytes > Self.heldBytes || heldCount > Self.heldCount
        return isOver ? giveUp(key, now: now) : []
    }

    package mutating func timerFired(now: NetworkInstant) -> [Action] {
        let due = waiting.filter { self[$0]?.waitsUntil.map { $0 <= now } ?? true }
        let ordered = due.sorted { ($0.author, $0.run) < ($1.author, $1.run) }
        return ordered.flatMap { giveUp($0, now: now) }
    }

    private subscript(key: Key) -> Run? {
        runs[key.author].flatMap { $0.indices.contains(key.run) ? $0[key.run] : nil }
    }

    /// Goes on behind what is missing.
    private mutating func giveUp(_ key: Key, now: NetworkInstant) -> [Action] {
        guard let run = self[key], let first = run.held.keys.min(), let message = run.held[first] else {
            waiting.remove(key)
            return []
        }
        var actions: [Action] = run.isKnown ? [.gap(key.author, Int(clamping: first - run.next))] : []
        remove(first, of: key)
        runs[key.author]?[key.run].next = first
        deliver(message, of: key, &actions)
        if let run = self[key], !run.held.isEmpty {
            runs[key.author]?[key.run].waitsUntil = now.advanced(by: Self.patience)
            waiting.insert(key)
        }
        return actions
    }

    /// Delivers what has its turn, and what waited behind it.
    private mutating func deliver(_ message: PubSubMessage, of key: Key, _ actions: inout [Action]) {
        actions.append(.message(message))
        var next = message.sequence &+ 1
        while let waited = self[key]?.held[next] {
            remove(next, of: key)
            actions.append(.message(waited))
            next &+= 1
        }
        runs[key.author]?[key.run].next = next
        runs[key.author]?[key.run].isKnown = true
        if self[key]?.held.isEmpty ?? true {
            runs[key.author]?[key.run].waitsUntil = nil
            waiting.remove(key)
        }
    }

    private mutating func remove(_ sequence: UInt64, of key: Key) {
        guard let message = runs[key.author]?[key.run].held.removeValue(forKey: sequence) else { return }
        heldBytes -= message.encoded.count
        heldCount -= 1
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
        for sequence in known[oldest].held.keys { remove(sequence, of: key) }
        waiting.remove(key)
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
        for (index, run) in oldest.value.enumerated() {
            let key = Key(author: oldest.key, run: index)
            for sequence in run.held.keys { remove(sequence, of: key) }
            waiting.remove(key)
        }
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
