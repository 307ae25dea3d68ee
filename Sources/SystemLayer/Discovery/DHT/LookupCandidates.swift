internal import DeP2PIdentity
internal import DeP2PReactor

/// Whom a lookup has heard of, the nearest first: pure. Bounded whatever is answered.
struct LookupCandidates: Sendable {
    /// Candidates kept; the farthest that has not been asked gives way.
    static let limit = 256
    /// Nodes remembered that named a candidate; who was named by more is on nobody's word alone.
    static let nominatorLimit = 4
    /// A node that has named so many that did not answer, and none that did, is believed no more.
    static let failedNomineeLimit = 3
    /// So many of a node's nominees may not have answered (yet), and so many more for each that has; then the others are left
    /// alone. One accomplice that answers is no proof of all the rest.
    static let unansweredLimit = 6
    static let unansweredPerAnswer = 3
    /// Of a node none of whose nominees has answered so many are tried at once: they may be anybody, and what is sent to them
    /// is sent on its word alone.
    static let unprovenLimit = 3

    enum State: Equatable, Sendable {
        case heard
        case asked(NetworkInstant)
        /// Silent for longer than is waited for it; an answer counts all the same.
        case slow(NetworkInstant)
        case answered
        case failed
        /// Only nodes that are believed no more have named it.
        case disbelieved

        var askedAt: NetworkInstant? {
            switch self {
            case .asked(let since), .slow(let since): since
            case .heard, .answered, .failed, .disbelieved: nil
            }
        }
    }

    struct Candidate: Sendable {
        let contact: DHTContact
        let distance: XORDistance
        var state = State.heard
        /// The paths that have heard of it, a bit each.
        var paths: UInt8
        /// The path that has asked it; no other may.
        var owner: Int?
        /// Requests that lay one behind the other until it was heard of.
        var depth: Int
        var nominators: [DHTKey]
        var isDialled = false
        /// While it is asked or dialled, and not slow: the nodes on whose word.
        var triedFor: [DHTKey]?
        /// While it is slow, the same.
        var silentFor: [DHTKey]?

        func isOpen(to path: Int) -> Bool { owner.map { $0 == path } ?? (paths & 1 << UInt8(path) != 0) }
    }

    /// What came of those that a node has named.
    private struct Word {
        var answered = 0
        var failed = 0
        /// Nominees that are asked or dialled now, but for the slow: where the first are dead, others may be there.
        var tried = 0
        /// Those that are slow.
        var silent = 0
        var isProven: Bool { answered > 0 || tried < LookupCandidates.unprovenLimit }
        var isSpent: Bool { tried + silent + failed >= allowance }
        var isBelieved: Bool {
            answered > 0 ? failed < allowance : failed < LookupCandidates.failedNomineeLimit
        }
        private var allowance: Int {
            LookupCandidates.unansweredLimit + LookupCandidates.unansweredPerAnswer * answered
        }
    }

    let target: DHTKey
    private(set) var all: [Candidate] = []
    /// Of each node whose nominees were asked.
    private var words: [DHTKey: Word] = [:]
    /// Whether nominees of unproven nodes wait: only while an answer may come that proves them.
    var holdsBack = true
    /// Whether anybody, slow or not, may still answer: while nobody may, none is held back.
    var isWaiting = true

    init(target: DHTKey) { self.target = target }

    /// Where the candidate with that key is: no two keys are as far from the target.
    func index(of key: DHTKey) -> Int? {
        let index = insertionIndex(key.distance(to: target))
        return index < all.count && all[index].contact.key == key ? index : nil
    }

    private func insertionIndex(_ distance: XORDistance) -> Int {
        var (low, high) = (0, all.count)
        while low < high {
            let middle = (low + high) / 2
            if all[middle].distance < distance { low = middle + 1 } else { high = middle }
        }
        return low
    }

    mutating func update(_ index: Int, _ change: (inout Candidate) -> Void) { change(&all[index]) }

    /// - Parameter nominator: the node that named it; `nil` for one that this node knew.
    mutating func add(_ contact: DHTContact, path: Int, depth: Int, nominator: DHTKey?) {
        if let nominator, words[nominator]?.isBelieved == false { return }
        let distance = contact.key.distance(to: target)
        let index = insertionIndex(distance)
        if index < all.count, all[index].contact.key == contact.key {
            renew(index, path: path, depth: depth, nominator: nominator)
            return
        }
        if all.count >= Self.limit {
            guard let last = all.lastIndex(where: { $0.state == .heard }), last >= index else { return }
            endTry(last)
            all.remove(at: last)
        }
        let candidate = Candidate(
            contact: contact, distance: distance, paths: 1 << UInt8(path), depth: depth,
            nominators: nominator.map { [$0] } ?? [])
        all.insert(candidate, at: index)
    }

    private mutating func renew(_ index: Int, path: Int, depth: Int, nominator: DHTKey?) {
        all[index].paths |= 1 << UInt8(path)
        guard all[index].state == .heard || all[index].state == .disbelieved else { return }
        all[index].state = .heard
        all[index].depth = min(all[index].depth, depth)
        guard !all[index].nominators.isEmpty else { return }
        if let nominator {
            // However often one names it, it is on the word of one.
            if all[index].nominators.count < Self.nominatorLimit, !all[index].nominators.contains(nominator) {
                all[index].nominators.append(nominator)
            }
        } else {
            all[index].nominators = []
        }
    }

    /// Whether it has to wait until one has answered whom a node has named that named it.
    func isHeldBack(_ index: Int) -> Bool {
        guard all[index].triedFor == nil else { return false }
        let nominators = all[index].nominators
        guard !nominators.isEmpty, nominators.count < Self.nominatorLimit else { return false }
        return nominators.allSatisfy { nominator in
            guard let word = words[nominator] else { return false }
            return isWaiting && word.isSpent || holdsBack && !word.isProven
        }
    }

    /// It is asked or dialled.
    mutating func beginTry(_ index: Int) {
        guard all[index].triedFor == nil else { return }
        all[index].triedFor = all[index].nominators
        for nominator in all[index].nominators { words[nominator, default: Word()].tried += 1 }
    }

    /// Something has come of it, or it is waited for no more.
    mutating func endTry(_ index: Int) {
        for nominator in all[index].triedFor ?? [] { words[nominator]?.tried -= 1 }
        all[index].triedFor = nil
    }

    /// It is silent: others may be tried in its place.
    mutating func becomeSlow(_ index: Int, since: NetworkInstant) {
        all[index].state = .slow(since)
        all[index].silentFor = all[index].triedFor
        endTry(index)
        for nominator in all[index].silentFor ?? [] { words[nominator]?.silent += 1 }
    }

    /// Counts for and against those that named it.
    mutating func settle(_ index: Int, answered: Bool) {
        all[index].state = answered ? .answered : .failed
        endTry(index)
        for nominator in all[index].silentFor ?? [] { words[nominator]?.silent -= 1 }
        all[index].silentFor = nil
        var lost = false
        for nominator in all[index].nominators {
            var word = words[nominator, default: Word()]
            let wasBelieved = word.isBelieved
            if answered { word.answered += 1 } else { word.failed += 1 }
            words[nominator] = word
            lost = lost || wasBelieved && !word.isBelieved
        }
        if lost { dropDisbelieved() }
    }

    private mutating func dropDisbelieved() {
        for index in all.indices where all[index].state == .heard && !all[index].nominators.isEmpty {
            let isOnlyTheirs =
                all[index].nominators.count < Self.nominatorLimit
                && all[index].nominators.allSatisfy { words[$0]?.isBelieved == false }
            if isOnlyTheirs { all[index].state = .disbelieved }
        }
    }
}
