internal import DeP2PReactor
internal import HeapModule

/// How many records each subnet has in a ``RecordStore``, and which record is the first to give way: of the subnet with the
/// most the farthest. Pure. Nothing looks at all that is stored, but for moving a subnet's own distances in memory: a store
/// that is full is asked this for each further record, which anybody may send.
struct StoredShares: Sendable {
    /// What a record costs the others, the least first.
    struct Claim: Comparable, Sendable {
        let share: Int
        let distance: XORDistance

        static func < (left: Self, right: Self) -> Bool {
            left.share == right.share ? left.distance < right.distance : left.share < right.share
        }
    }

    /// The farthest record of a subnet, as it was when this was noted.
    private struct Noted: Comparable {
        let claim: Claim
        let subnet: Subject

        static func < (left: Self, right: Self) -> Bool { left.claim < right.claim }
    }

    /// Notes that are not true any more are dropped where they come first, and all of them when they are as many as the rest.
    private static let notesKept = 64

    /// Of each subnet's records, the nearest first.
    private var distances: [Subject: [XORDistance]] = [:]
    private var notes = Heap<Noted>()

    func count(_ subnet: Subject) -> Int { distances[subnet]?.count ?? 0 }

    mutating func add(_ distance: XORDistance, of subnet: Subject) {
        let place = distances[subnet].map { Self.place(of: distance, in: $0) } ?? 0
        distances[subnet, default: []].insert(distance, at: place)
        note(subnet)
    }

    mutating func remove(_ distance: XORDistance, of subnet: Subject) {
        guard let all = distances[subnet] else { return }
        let place = Self.place(of: distance, in: all)
        guard place < all.count, all[place] == distance else { return }
        if all.count == 1 { distances[subnet] = nil } else { distances[subnet]?.remove(at: place) }
        note(subnet)
    }

    /// The record that gives way first.
    mutating func largest() -> (claim: Claim, subnet: Subject)? {
        while let top = notes.max {
            if claim(of: top.subnet) == top.claim { return (top.claim, top.subnet) }
            notes.removeMax()
        }
        return nil
    }

    private func claim(of subnet: Subject) -> Claim? {
        distances[subnet].flatMap { all in all.last.map { Claim(share: all.count, distance: $0) } }
    }

    private mutating func note(_ subnet: Subject) {
        if let claim = claim(of: subnet) { notes.insert(Noted(claim: claim, subnet: subnet)) }
        guard notes.count > 2 * distances.count + Self.notesKept else { return }
        notes = Heap(distances.keys.compactMap { subnet in claim(of: subnet).map { Noted(claim: $0, subnet: subnet) } })
    }

    /// Where the first one is that is not less.
    private static func place(of distance: XORDistance, in all: [XORDistance]) -> Int {
        var (low, high) = (0, all.count)
        while low < high {
            let middle = (low + high) / 2
            if all[middle] < distance { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
