internal import Synchronization

/// The events of a node as one observer reads them: `for await event in node.events() { … }`, in one task at a time.
///
/// The node never waits for an observer. Beyond the capacity what comes newly is left out, and counted: where it would
/// stand, ``NodeEvent/dropped(_:)`` says how many. The sequence ends with the node's stop, with ``cancel()``, and in a task
/// that is cancelled, each time after what had come by then; letting go of it cancels it too.
public final class NodeEvents: AsyncSequence, Sendable {
    public typealias Element = NodeEvent
    public typealias Failure = Never

    /// Events that wait for a reader.
    public static let defaultCapacity = 4096

    private struct Queue {
        var waiting: [NodeEvent] = []
        /// Of `waiting`, those that were read.
        var read = 0
        /// Left out since the last that was not.
        var gap = 0
        var dropped = 0
        var isFinished = false

        mutating func pop() -> NodeEvent? {
            guard read < waiting.count else {
                // What was left out at the end has nothing behind it to be told before.
                defer { gap = 0 }
                return gap > 0 ? .dropped(gap) : nil
            }
            let event = waiting[read]
            read += 1
            // More than half is read: fewer are moved than were.
            if read * 2 > waiting.count {
                waiting.removeFirst(read)
                read = 0
            }
            return event
        }
    }

    let kinds: NodeEvent.Kinds
    private let capacity: Int
    private let queue = Mutex(Queue())
    private let arrivals: AsyncStream<Void>
    private let bell: AsyncStream<Void>.Continuation

    init(of kinds: NodeEvent.Kinds, capacity: Int) {
        self.kinds = kinds
        self.capacity = Swift.max(1, capacity)
        (arrivals, bell) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Events that this observer was too slow for, so far.
    public var dropped: Int { queue.withLock { $0.dropped } }

    /// Takes no more events; those that have come can still be read.
    public func cancel() {
        queue.withLock { $0.isFinished = true }
        bell.finish()
    }

    var isFinished: Bool { queue.withLock { $0.isFinished } }

    func push(_ event: NodeEvent) {
        queue.withLock { queue in
            guard !queue.isFinished else { return }
            guard queue.waiting.count - queue.read < capacity else {
                queue.gap += 1
                queue.dropped += 1
                return
            }
            if queue.gap > 0 { queue.waiting.append(.dropped(queue.gap)) }
            queue.gap = 0
            queue.waiting.append(event)
        }
        bell.yield(())
    }

    public func makeAsyncIterator() -> Iterator { Iterator(events: self, arrivals: arrivals.makeAsyncIterator()) }

    public struct Iterator: AsyncIteratorProtocol {
        public typealias Element = NodeEvent
        public typealias Failure = Never

        fileprivate let events: NodeEvents
        fileprivate var arrivals: AsyncStream<Void>.Iterator

        public mutating func next(isolation actor: isolated (any Actor)? = #isolation) async -> NodeEvent? {
            while true {
                if let event = events.pop() { return event }
                guard await arrivals.next(isolation: actor) != nil else { return events.pop() }
            }
        }
    }

    /// An event that has come and was not read, for the observer that reads them; `nil` where there is none.
    package func takeAtOnce() -> NodeEvent? { pop() }

    private func pop() -> NodeEvent? { queue.withLock { $0.pop() } }
}
