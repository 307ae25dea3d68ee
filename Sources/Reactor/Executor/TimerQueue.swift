public import HeapModule

/// Deadlines in order: a heap with lazy deletion. Pure; every clock is built on it.
///
/// Actions lie in places that are used again, and a token names its place: nearly every timer is cancelled before it is due,
/// a dozen for each request, and a table by number would hash each twice.
///
/// Public, so that other modules compile it for their own types: see ``Waiter``.
public struct TimerQueue<Action> {
    @usableFromInline
    struct Entry: Comparable {
        @usableFromInline let deadline: NetworkInstant
        @usableFromInline let token: TimerToken

        @inlinable
        init(deadline: NetworkInstant, token: TimerToken) {
            self.deadline = deadline
            self.token = token
        }

        @inlinable
        static func == (left: Self, right: Self) -> Bool {
            left.token.id == right.token.id && left.deadline == right.deadline
        }

        @inlinable
        static func < (left: Self, right: Self) -> Bool {
            left.deadline.nanoseconds == right.deadline.nanoseconds
                ? left.token.id < right.token.id : left.deadline.nanoseconds < right.deadline.nanoseconds
        }
    }

    /// Whose action lies there, by the number of its token; 0 is nobody's.
    @usableFromInline
    struct Place {
        @usableFromInline var id: UInt64
        @usableFromInline var action: Action?

        @inlinable
        init(id: UInt64, action: Action?) { (self.id, self.action) = (id, action) }
    }

    @usableFromInline var heap = Heap<Entry>()
    @usableFromInline var places: [Place] = []
    @usableFromInline var free: [UInt32] = []
    @usableFromInline var nextID: UInt64 = 0

    @inlinable
    public init() {}

    @inlinable
    public var count: Int { places.count - free.count }

    @inlinable
    public mutating func insert(_ action: Action, at deadline: NetworkInstant) -> TimerToken {
        nextID &+= 1
        let token: TimerToken
        if let place = free.popLast() {
            token = TimerToken(id: nextID, place: place)
            places[Int(place)] = Place(id: nextID, action: action)
        } else {
            token = TimerToken(id: nextID, place: UInt32(places.count))
            places.append(Place(id: nextID, action: action))
        }
        heap.insert(Entry(deadline: deadline, token: token))
        return token
    }

    @inlinable
    public mutating func remove(_ token: TimerToken) {
        guard take(token) != nil else { return }
        // Cancelled entries stay in the heap until they reach its top; rebuild when they outnumber the live ones.
        if heap.count > 64, heap.count > 2 * count {
            heap = Heap(heap.unordered.filter { isLive($0.token) })
        }
    }

    /// The earliest live deadline.
    @inlinable
    public mutating func earliest() -> NetworkInstant? {
        while let first = heap.min {
            if isLive(first.token) { return first.deadline }
            heap.removeMin()
        }
        return nil
    }

    /// Removes and returns the earliest action that is due at `now`, in order of deadline and then of insertion.
    @inlinable
    public mutating func popDue(at now: NetworkInstant) -> Action? {
        guard let deadline = earliest(), deadline <= now else { return nil }
        return heap.popMin().flatMap { take($0.token) }
    }

    @inlinable
    func isLive(_ token: TimerToken) -> Bool {
        token.id != 0 && Int(token.place) < places.count && places[Int(token.place)].id == token.id
    }

    /// The token's action, whose place is another's from then on; `nil` when it was taken before.
    @inlinable
    mutating func take(_ token: TimerToken) -> Action? {
        guard isLive(token) else { return nil }
        let action = places[Int(token.place)].action.take()
        places[Int(token.place)].id = 0
        free.append(token.place)
        return action
    }
}
