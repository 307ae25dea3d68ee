internal import DeP2PReactor
internal import DequeModule

/// A bounded hand-over between tasks on the network thread: one side pushes, the other takes everything there is.
///
/// Weight counts from `push` until the taker gives it back with `release`, so what is being worked on counts too.
@NetworkActor
final class Mailbox<Element: Sendable> {
    private struct Letter {
        let element: Element
        let weight: Int
    }

    private var letters = Deque<Letter>()
    private var queuedWeight = 0
    private var isClosed = false
    private var isFlushing = false
    private var takers: [Waiter<Void>] = []
    private var pushers: [Waiter<Void>] = []

    /// Weight pushed and not released.
    private(set) var weight = 0

    func push(_ element: Element, weight: Int = 1) {
        letters.append(Letter(element: element, weight: weight))
        queuedWeight += weight
        self.weight += weight
        wakeTaker()
    }

    /// Waits until less than `limit` is pushed and not released.
    func waitForRoom(below limit: Int) async throws {
        while weight >= limit {
            let waiter = Waiter<Void>()
            pushers.append(waiter)
            flush()
            try await waiter.value()
        }
    }

    /// Everything there is, once it weighs at least `least`, or at ``flush()`` or ``close()``; `nil` after the end.
    func take(atLeast least: Int = 1, atMost count: Int = .max) async throws -> [Element]? {
        while letters.isEmpty || (queuedWeight < least && !isFlushing && !isClosed) {
            if isClosed { return nil }
            if isFlushing {
                isFlushing = false
                return []
            }
            let waiter = Waiter<Void>()
            threshold = least
            takers.append(waiter)
            // A cancelled one must not stay behind: it would be woken in another's place.
            defer { takers.removeAll { $0 === waiter } }
            try await waiter.value()
        }
        return pop(upTo: count)
    }

    private func pop(upTo count: Int) -> [Element] {
        var elements: [Element] = []
        elements.reserveCapacity(min(count, letters.count))
        while elements.count < count, let letter = letters.popFirst() {
            queuedWeight -= letter.weight
            elements.append(letter.element)
        }
        if letters.isEmpty {
            // What was once a long queue keeps no room for another.
            if elements.count > Self.keptLetters { letters = Deque() }
            (queuedWeight, isFlushing) = (0, false)
        }
        return elements
    }

    /// Room for so many stays when the last is taken.
    private static var keptLetters: Int { 1024 }

    func release(_ weight: Int) {
        self.weight -= weight
        guard !pushers.isEmpty else { return }
        for pusher in pushers { pusher.resume(returning: ()) }
        pushers = []
    }

    /// Lets a taker have what there is, even nothing.
    func flush() {
        isFlushing = true
        wakeTaker()
    }

    func close() {
        isClosed = true
        for taker in takers { taker.resume(returning: ()) }
        takers = []
    }

    private var threshold = 1

    private func wakeTaker() {
        guard !takers.isEmpty, isFlushing || queuedWeight >= threshold else { return }
        takers.removeFirst().resume(returning: ())
    }
}
