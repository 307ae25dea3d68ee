internal import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReactor
internal import Glibc

/// Who gets how many of a bounded number of open files: pure.
///
/// First come, first served: nobody who wants little passes one who wants much, so everybody's turn comes. An owner has
/// three quarters of all at most, and what it wants beyond keeps nobody else waiting: a sender may hold what it has for as
/// long as it likes.
///
/// Calling order for each: ``request(_:atLeast:upTo:of:)``; when that gives nothing, the answer comes from a later
/// ``release(_:of:)`` or ``withdraw(_:)``; ``release(_:of:)`` of what was given, at last.
struct DescriptorQueue {
    typealias ID = UInt64

    struct Grant: Equatable {
        let id: ID
        let count: Int
        var owner: NodeID?
    }

    private struct Request {
        let id: ID
        let least: Int
        let most: Int
        let owner: NodeID?
    }

    let capacity: Int
    private(set) var free: Int
    private var waiting: [Request] = []
    private var held: [NodeID: Int] = [:]

    init(capacity: Int) {
        self.capacity = capacity
        free = capacity
    }

    var waitingCount: Int { waiting.count }

    /// - Returns: what was given, `nil` when it comes later.
    mutating func request(_ id: ID, atLeast least: Int, upTo most: Int, of owner: NodeID? = nil) -> Int? {
        // More than there are in all is never there: whoever asks for it gets them all.
        waiting.append(Request(id: id, least: max(min(least, capacity), 1), most: most, owner: owner))
        return give().first { $0.id == id }?.count
    }

    mutating func release(_ count: Int, of owner: NodeID? = nil) -> [Grant] {
        free = min(free + count, capacity)
        if let owner {
            let left = held[owner, default: 0] - count
            held[owner] = left > 0 ? left : nil
        }
        return give()
    }

    /// Gives up a request that waits.
    mutating func withdraw(_ id: ID) -> [Grant] {
        waiting.removeAll { $0.id == id }
        return give()
    }

    private mutating func give() -> [Grant] {
        var grants: [Grant] = []
        var index = 0
        while index < waiting.count {
            let next = waiting[index]
            let share = share(of: next.owner)
            guard next.least <= share else {
                index += 1
                continue
            }
            guard next.least <= free else { break }
            waiting.remove(at: index)
            // Half of what is left stays for those who come next.
            let count = min(next.most, max(next.least, min(free, share) / 2))
            free -= count
            if let owner = next.owner { held[owner, default: 0] += count }
            grants.append(Grant(id: next.id, count: count, owner: next.owner))
        }
        return grants
    }

    /// What an owner may have now; the first thing that it wants is never too much.
    private func share(of owner: NodeID?) -> Int {
        guard let owner, let own = held[owner] else { return capacity }
        return max(capacity - capacity / 4 - own, 0)
    }
}
