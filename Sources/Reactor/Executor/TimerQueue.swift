/// Deadlines in order: a binary heap with lazy deletion. Pure; every clock is built on it.
package struct TimerQueue<Action> {
    private struct Entry {
        let deadline: NetworkInstant
        let id: UInt64
    }

    private var heap: [Entry] = []
    private var actions: [UInt64: Action] = [:]
    private var nextID: UInt64 = 0

    package init() {}

    package var count: Int { actions.count }

    package mutating func insert(_ action: Action, at deadline: NetworkInstant) -> TimerToken {
        nextID &+= 1
        actions[nextID] = action
        heap.append(Entry(deadline: deadline, id: nextID))
        siftUp(heap.count - 1)
        return TimerToken(id: nextID)
    }

    package mutating func remove(_ token: TimerToken) {
        guard actions.removeValue(forKey: token.id) != nil else { return }
        // Cancelled entries stay in the heap until they reach its top; rebuild when they outnumber the live ones.
        if heap.count > 64, heap.count > 2 * actions.count {
            heap.removeAll { actions[$0.id] == nil }
            for index in stride(from: heap.count / 2, through: 0, by: -1) where index < heap.count { siftDown(index) }
        }
    }

    /// The earliest live deadline.
    package mutating func earliest() -> NetworkInstant? {
        while let first = heap.first {
            if actions[first.id] != nil { return first.deadline }
            removeFirst()
        }
        return nil
    }

    /// Removes and returns the earliest action that is due at `now`, in order of deadline and then of insertion.
    package mutating func popDue(at now: NetworkInstant) -> Action? {
        guard let deadline = earliest(), deadline <= now else { return nil }
        let id = heap[0].id
        removeFirst()
        return actions.removeValue(forKey: id)
    }

    private mutating func removeFirst() {
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        siftDown(0)
    }

    private func precedes(_ left: Int, _ right: Int) -> Bool {
        (heap[left].deadline.nanoseconds, heap[left].id) < (heap[right].deadline.nanoseconds, heap[right].id)
    }

    private mutating func siftUp(_ start: Int) {
        var child = start
        while child > 0, precedes(child, (child - 1) / 2) {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    private mutating func siftDown(_ start: Int) {
        var parent = start
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && precedes(child, least) {
                least = child
            }
            if least == parent { return }
            heap.swapAt(parent, least)
            parent = least
        }
    }
}
