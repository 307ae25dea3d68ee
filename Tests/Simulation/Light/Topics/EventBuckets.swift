internal import DeP2PReactor
internal import HeapModule

/// What happens when, for millions of events of a few minutes: in buckets of a millisecond, of which the one at hand alone is
/// put in order. Those of one instant come in the order in which they were inserted.
struct EventBuckets<Event> {
    private static var width: UInt64 { 1_000_000 }

    private struct Entry: Comparable {
        let time: UInt64
        let number: UInt64
        let event: Event

        static func == (left: Self, right: Self) -> Bool { left.number == right.number }

        static func < (left: Self, right: Self) -> Bool { (left.time, left.number) < (right.time, right.number) }
    }

    /// From time 0 on; from `next` on they are still to come.
    private var buckets: [[Entry]] = []
    private var next = 0
    private var present: Heap<Entry> = []
    private var count: UInt64 = 0

    mutating func insert(_ event: Event, at instant: NetworkInstant) {
        count += 1
        let entry = Entry(time: instant.nanoseconds, number: count, event: event)
        let place = Int(instant.nanoseconds / Self.width)
        guard place >= next else { return present.insert(entry) }
        while buckets.count <= place { buckets.append([]) }
        buckets[place].append(entry)
    }

    /// The earliest, if it is not after `end`.
    mutating func pop(until end: NetworkInstant) -> (time: NetworkInstant, event: Event)? {
        while present.isEmpty {
            guard next < buckets.count, UInt64(next) * Self.width <= end.nanoseconds else { return nil }
            present = Heap(buckets[next])
            buckets[next] = []
            next += 1
        }
        guard let first = present.min, first.time <= end.nanoseconds, let entry = present.popMin() else { return nil }
        return (NetworkInstant(nanoseconds: entry.time), entry.event)
    }
}
