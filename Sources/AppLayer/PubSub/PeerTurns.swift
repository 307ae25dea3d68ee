internal import DequeModule

/// What waits for something on account of peers, in turns: one of each peer that has some, and so on; pure. However much one
/// peer has waiting, another's first is not behind it.
struct PeerTurns<Element> {
    typealias Source = PubSubRouter.PeerKey

    private var waiting: [Source: Deque<Element>] = [:]
    /// Those of ``waiting``, the next first.
    private var order = Deque<Source>()
    private(set) var count = 0

    /// - Parameter source: who is charged with it.
    mutating func add(_ element: Element, from source: Source) {
        if waiting[source] == nil { order.append(source) }
        waiting[source, default: Deque()].append(element)
        count += 1
    }

    /// The next, at most so many.
    mutating func take(_ limit: Int) -> [Element] {
        var taken: [Element] = []
        while taken.count < limit, let source = order.popFirst() {
            guard let element = waiting[source]?.popFirst() else { continue }
            taken.append(element)
            if waiting[source]?.isEmpty ?? true { waiting[source] = nil } else { order.append(source) }
        }
        count -= taken.count
        return taken
    }
}
