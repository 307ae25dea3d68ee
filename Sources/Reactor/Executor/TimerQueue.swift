public import HeapModule

/// Deadlines in order: a heap with lazy deletion. Pure; every clock is built on it.
///
/// Public, so that other modules compile it for their own types: see ``Waiter``.
public struct TimerQueue<Action> {
    @usableFromInline
    struct Entry: Comparable {
        @usableFromInline let deadline: NetworkInstant
        @usableFromInline let id: UInt64

        @inlinable
        init(deadline: NetworkInstant, id: UInt64) {
            self.deadline = deadline
            self.id = id
        }

        @inlinable
        static func == (left: Self, right: Self) -> Bool { left.id == right.id && left.deadline == right.deadline }

        @inlinable
        static func < (left: Self, right: Self) -> Bool {
            (left.deadline.nanoseconds, left.id) < (right.deadline.nanoseconds, right.id)
        }
    }

    @usableFromInline var heap = Heap<Entry>()
    @usableFromInline var actions: [UInt64: Action] = [:]
    @usableFromInline var nextID: UInt64 = 0

    @inlinable
    public init() {}

    @inlinable
    public var count: Int { actions.count }

    @inlinable
    public mutating func insert(_ action: Action, at deadline: NetworkInstant) -> TimerToken {
        nextID &+= 1
        actions[nextID] = action
        heap.insert(Entry(deadline: deadline, id: nextID))
        return TimerToken(id: nextID)
    }

    @inlinable
    public mutating func remove(_ token: TimerToken) {
        guard actions.removeValue(forKey: token.id) != nil else { return }
        // Cancelled entries stay in the heap until they reach its top; rebuild when they outnumber the live ones.
        if heap.count > 64, heap.count > 2 * actions.count {
            heap = Heap(heap.unordered.filter { actions[$0.id] != nil })
        }
    }

    /// The earliest live deadline.
    @inlinable
    public mutating func earliest() -> NetworkInstant? {
        while let first = heap.min {
            if actions[first.id] != nil { return first.deadline }
            heap.removeMin()
        }
        return nil
    }

    /// Removes and returns the earliest action that is due at `now`, in order of deadline and then of insertion.
    @inlinable
    public mutating func popDue(at now: NetworkInstant) -> Action? {
        guard let deadline = earliest(), deadline <= now else { return nil }
        return heap.popMin().flatMap { actions.removeValue(forKey: $0.id) }
    }
}
