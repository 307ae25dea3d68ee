package import DeP2PIdentity
package import DeP2PReactor
internal import DequeModule

/// Puts the messages of one topic into each author's order, each once, and notices what is missing: pure.
///
/// An author numbers the messages of a topic in a row (``MessageNumbers``). One that comes before its turn waits for those
/// before it, which are on another way or are asked for meanwhile. What is missing is told and given up ``patience`` after it
/// showed, but not while those before it still come. A number that cannot follow those known (``MessageNumbers/follows(_:_:)``)
/// is of another run of the author's, or of another process with its identity: it has an order of its own.
package struct DeliveryOrder: TimedMachine {
    package enum Action: Equatable {
        case message(PubSubMessage)
        /// So many of an author's are missing here.
        case gap(NodeID, Int)
    }

    static let authors = 4_096
    static let runsPerAuthor = 4
    /// Authors looked at to find one that is forgotten: who publishes under ever new names costs no more than under one.
    static let forgetTries = 8
    /// What waits for its turn, of all authors.
    static let heldBytes = 16 * 1024 * 1024
    static let heldCount = 8_192
    /// Where that is full, those who hold more than their share give up until so many parts of eight are held at the most: they
    /// are all looked at, which must not be done for each message.
    private static let eighthsKept = 7
    static let patience = Duration.seconds(5)
    /// For what may have been sent before the first that came, and passes through others while the author's own connection
    /// begins: whether anything was is not known, and nothing is told. Each that comes from before shows that others may.
    static let firstPatience = Duration.milliseconds(500)

    private struct Held {
        let message: PubSubMessage
        /// It has its place, and is not delivered.
        let isWithheld: Bool
        let since: NetworkInstant
    }

    private struct Run {
        /// The count of the number that comes next.
        var next: UInt64
        /// The number of what was delivered last of it.
        var last: UInt64?
        /// By their numbers, the lowest first.
        var held = Deque<Held>()
        var heldBytes = 0
        var waitsUntil: NetworkInstant?
        var used: UInt64

        enum Place: Equatable {
            case late, turn
            /// Among ``held``.
            case early(Int)
        }

        mutating func take(_ one: Held, used: UInt64) -> Place {
            let (message, now) = (one.message, one.since)
            let place = place(of: message.sequence) ?? .late
            guard place != .late else { return .late }
            self.used = used
            guard case .early(let index) = place else { return .turn }
            held.insert(one, at: index)
            heldBytes += message.encoded.count
            if last != nil {
                waitsUntil = waitsUntil ?? now.advanced(by: DeliveryOrder.patience)
            } else if index == 0 {
                waitsUntil = now.advanced(by: DeliveryOrder.firstPatience)
            }
            return place
        }

        /// Where a number stands in this run; `nil` if it is of another.
        func place(of sequence: UInt64) -> Place? {
            let count = MessageNumbers.count(of: sequence)
            if let last, count <= MessageNumbers.count(of: last) {
                return sequence == last || MessageNumbers.follows(last, sequence) ? .late : nil
            }
            guard count < next + MessageNumbers.runDistance else { return nil }
            let index = index(of: count)
            if index < held.count, held[index].message.sequence == sequence { return .late }
            if let before = index > 0 ? held[index - 1].message.sequence : last,
                !MessageNumbers.follows(sequence, before)
            {
                return nil
            }
            if index < held.count, !MessageNumbers.follows(held[index].message.sequence, sequence) { return nil }
            guard count >= next else { return .late }
            return count == next ? .turn : .early(index)
        }

        /// Of the first that is counted no lower; as a rule it is the last that came.
        private func index(of count: UInt64) -> Int {
            var (low, high) = (0, held.count)
            if let last = held.last, MessageNumbers.count(of: last.message.sequence) < count { return high }
            while low < high {
                let middle = (low + high) / 2
                if MessageNumbers.count(of: held[middle].message.sequence) < count {
                    low = middle + 1
                } else {
                    high = middle
                }
            }
            return low
        }
    }

    private struct Key: Hashable {
        let author: NodeID
        let run: Int
    }

    private var runs: [NodeID: [Run]] = [:]
    /// The authors of ``runs``, the next to be looked at first, each with what ``uses`` was when it was last.
    private var authors = Deque<(author: NodeID, used: UInt64)>()
    /// The runs of which something waits, and when that is over.
    private var waiting: [Key: TimerToken] = [:]
    private var turns = TimerQueue<Key>()
    private var uses: UInt64 = 0
    private(set) var heldBytes = 0
    private(set) var heldCount = 0
    /// Runs and authors that were looked at to find others than the one whose message came.
    private(set) var looks = 0
    package private(set) var wake: NetworkInstant?

    package init() {}

    /// A message has come.
    ///
    /// - Parameter isWithheld: whether the application does not want it: it is not missing then, and not delivered.
    package mutating func take(
        _ message: PubSubMessage, isWithheld: Bool = false, now: NetworkInstant
    ) -> [Action] {
        defer { wake = turns.earliest() }
        let (key, one) = (run(of: message), Held(message: message, isWithheld: isWithheld, since: now))
        uses &+= 1
        // Changed where it lies: a copy would cost as much as all that waits.
        switch runs[message.author]?[key.run].take(one, used: uses) {
        case nil, .late: return []
        case .turn:
            var actions: [Action] = []
            deliver(one, of: key, &actions)
            // Those before what waits are coming: the next that is missing has a time of its own.
            wait(key, until: now.advanced(by: Self.patience))
            return actions
        case .early: break
        }
        heldBytes += message.encoded.count
        heldCount += 1
        wait(key, until: runs[key.author]?[key.run].waitsUntil)
        return makeRoom(behind: key)
    }

    package mutating func timerFired(now: NetworkInstant) -> [Action] {
        defer { wake = turns.earliest() }
        var due: [Key] = []
        while let key = popDue(at: now) { due.append(key) }
        var actions: [Action] = []
        for key in due.sorted(by: { ($0.author, $0.run) < ($1.author, $1.run) }) {
            repeat { actions += giveUp(key) } while self[key]?.waitsUntil.map { $0 <= now } ?? false
        }
        return actions
    }

    private mutating func popDue(at now: NetworkInstant) -> Key? {
        guard let key = turns.popDue(at: now) else { return nil }
        waiting[key] = nil
        return key
    }

    private subscript(key: Key) -> Run? {
        runs[key.author].flatMap { $0.indices.contains(key.run) ? $0[key.run] : nil }
    }

    /// Goes on behind what is missing. What is missing after that showed when the next that waits came.
    private mutating func giveUp(_ key: Key) -> [Action] {
        let expected = self[key].flatMap { $0.last == nil ? nil : $0.next }
        guard let first = popFirst(of: key) else {
            wait(key, until: nil)
            return []
        }
        let count = MessageNumbers.count(of: first.message.sequence)
        var actions: [Action] = expected.map { [.gap(key.author, Int(clamping: count - $0))] } ?? []
        deliver(first, of: key, &actions)
        wait(key, until: self[key]?.held.first?.since.advanced(by: Self.patience))
        return actions
    }

    /// Delivers what has its turn, and what waited behind it.
    private mutating func deliver(_ one: Held, of key: Key, _ actions: inout [Action]) {
        if !one.isWithheld { actions.append(.message(one.message)) }
        var last = one.message.sequence
        var next = MessageNumbers.count(of: last) + 1
        while let first = self[key]?.held.first?.message.sequence, MessageNumbers.count(of: first) == next,
            let waited = popFirst(of: key)
        {
            if !waited.isWithheld { actions.append(.message(waited.message)) }
            (last, next) = (waited.message.sequence, next + 1)
        }
        runs[key.author]?[key.run].next = next
        runs[key.author]?[key.run].last = last
    }

    /// Nothing waits where nothing is held.
    private mutating func wait(_ key: Key, until due: NetworkInstant?) {
        let due = self[key]?.held.isEmpty ?? true ? nil : due
        runs[key.author]?[key.run].waitsUntil = due
        if let token = waiting.removeValue(forKey: key) { turns.remove(token) }
        if let due { waiting[key] = turns.insert(key, at: due) }
    }

    private mutating func popFirst(of key: Key) -> Held? {
        guard self[key] != nil, let first = runs[key.author]?[key.run].held.popFirst() else { return nil }
        let size = first.message.encoded.count
        runs[key.author]?[key.run].heldBytes -= size
        heldBytes -= size
        heldCount -= 1
        return first
    }

    /// Forgets what waits.
    private mutating func drop(_ key: Key) {
        while popFirst(of: key) != nil {}
        wait(key, until: nil)
    }

    // MARK: Room

    /// No author keeps the others' messages from waiting by leaving out its own: where too much waits, he whose message came
    /// gives up if he holds more than his share, else all who do. Where nobody does, who has waited for longest gives up.
    private mutating func makeRoom(behind key: Key) -> [Action] {
        var actions: [Action] = []
        while heldBytes > Self.heldBytes || heldCount > Self.heldCount {
            if holds(key, more: share(of: 8)) {
                actions += giveUp(key)
            } else if share(of: Self.eighthsKept).count > 0 {
                actions += giveUpBeyondShares()
            } else if let first = popDue(at: .distantFuture) {
                actions += giveUp(first)
            } else {
                break
            }
        }
        return actions
    }

    /// What each run may hold where all of them together hold so many eighths; only what there is too much of is bounded.
    private func share(of eighths: Int) -> (bytes: Int, count: Int) {
        let runs = max(waiting.count, 1)
        return (
            heldBytes > Self.heldBytes ? Self.heldBytes / 8 * eighths / runs : .max,
            heldCount > Self.heldCount ? Self.heldCount / 8 * eighths / runs : .max
        )
    }

    private func holds(_ key: Key, more share: (bytes: Int, count: Int)) -> Bool {
        guard let run = self[key] else { return false }
        return run.heldBytes > share.bytes || run.held.count > max(share.count, 1)
    }

    private mutating func giveUpBeyondShares() -> [Action] {
        looks += waiting.count
        let share = share(of: Self.eighthsKept)
        let over = waiting.keys.filter { holds($0, more: share) }
        var actions: [Action] = []
        for key in over.sorted(by: { ($0.author, $0.run) < ($1.author, $1.run) }) {
            while holds(key, more: share) { actions += giveUp(key) }
        }
        return actions
    }

    // MARK: Runs

    private mutating func run(of message: PubSubMessage) -> Key {
        let author = message.author
        let known = runs[author] ?? []
        if let index = known.firstIndex(where: { $0.place(of: message.sequence) != nil }) {
            return Key(author: author, run: index)
        }
        uses &+= 1
        let run = Run(next: MessageNumbers.first(before: message.sequence), used: uses)
        if known.isEmpty {
            forgetSomebody()
            // With its first message as its first use.
            authors.append((author, uses &+ 1))
        }
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

    /// Beyond the bound an author is forgotten of whom nothing came since he was looked at last, and of whom nothing waits:
    /// his next message is a first one. Only a few are looked at, under however many names somebody publishes.
    private mutating func forgetSomebody() {
        guard runs.count >= Self.authors else { return }
        for _ in 0..<Self.forgetTries {
            guard let oldest = authors.popFirst() else { return }
            looks += 1
            let known = runs[oldest.author] ?? []
            let used = known.map(\.used).max() ?? 0
            if used <= oldest.used, known.allSatisfy(\.held.isEmpty) { return forget(oldest.author) }
            authors.append((oldest.author, used))
        }
        if let oldest = authors.popFirst() { forget(oldest.author) }
    }

    private mutating func forget(_ author: NodeID) {
        for index in (runs[author] ?? []).indices { drop(Key(author: author, run: index)) }
        runs[author] = nil
    }
}
