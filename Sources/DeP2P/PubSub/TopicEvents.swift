internal import DeP2PApp
internal import DeP2PReactor
internal import DequeModule
internal import Synchronization

/// What comes to a topic, as one subscriber reads it: `for await event in try node.subscribe("alerts") { … }`, in one task at
/// a time.
///
/// The node never waits for a subscriber. Beyond the capacity, or ``byteLimit``, what comes newly is left out, and counted:
/// where it would stand, ``TopicEvent/dropped(_:)`` says how many. The sequence ends with the node's stop, when it leaves its
/// realm, with ``cancel()``, and in a task that is cancelled; letting go of it cancels it too.
public final class TopicEvents: AsyncSequence, Sendable {
    public typealias Element = TopicEvent
    public typealias Failure = Never

    /// Events that wait for a reader, and the bytes of their messages.
    public static let defaultCapacity = 8_192
    public static let byteLimit = 32 * 1024 * 1024

    private struct Queue {
        var waiting = Deque<TopicEvent>()
        var bytes = 0
        /// Left out since the last that was not.
        var gap = 0
        var dropped = 0
        var isFinished = false

        mutating func pop() -> TopicEvent? {
            guard let event = waiting.popFirst() else {
                defer { gap = 0 }
                return gap > 0 ? .dropped(gap) : nil
            }
            bytes -= event.size
            return event
        }
    }

    public let topic: String
    private let capacity: Int
    private let queue = Mutex(Queue())
    private let arrivals: AsyncStream<Void>
    private let bell: AsyncStream<Void>.Continuation
    private let release = Mutex<(@NetworkActor @Sendable () -> Void)?>(nil)

    init(_ topic: String, capacity: Int) {
        (self.topic, self.capacity) = (topic, Swift.max(1, capacity))
        (arrivals, bell) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    deinit { Self.letGo(release) }

    /// Messages that this subscriber was too slow for, so far.
    public var dropped: Int { queue.withLock { $0.dropped } }

    /// Takes nothing more; what has come can still be read.
    public func cancel() {
        finish()
        Self.letGo(release)
    }

    /// - Parameter body: called once, when nobody wants to be told any more.
    func onRelease(_ body: @escaping @NetworkActor @Sendable () -> Void) { release.withLock { $0 = body } }

    private static func letGo(_ release: borrowing Mutex<(@NetworkActor @Sendable () -> Void)?>) {
        let body = release.withLock { body in
            defer { body = nil }
            return body
        }
        if let body { networkTask { body() } }
    }

    func finish() {
        queue.withLock { $0.isFinished = true }
        bell.finish()
    }

    func push(_ event: TopicEvent) {
        queue.withLock { queue in
            guard !queue.isFinished else { return }
            guard queue.waiting.count < capacity, queue.bytes + event.size <= Self.byteLimit else {
                queue.gap += 1
                queue.dropped += 1
                return
            }
            if queue.gap > 0 { queue.waiting.append(.dropped(queue.gap)) }
            queue.gap = 0
            queue.waiting.append(event)
            queue.bytes += event.size
        }
        bell.yield(())
    }

    public func makeAsyncIterator() -> Iterator { Iterator(events: self, arrivals: arrivals.makeAsyncIterator()) }

    public struct Iterator: AsyncIteratorProtocol {
        public typealias Element = TopicEvent
        public typealias Failure = Never

        fileprivate let events: TopicEvents
        fileprivate var arrivals: AsyncStream<Void>.Iterator

        public mutating func next(isolation actor: isolated (any Actor)? = #isolation) async -> TopicEvent? {
            while true {
                if let event = events.pop() { return event }
                guard await arrivals.next(isolation: actor) != nil else { return events.pop() }
            }
        }
    }

    private func pop() -> TopicEvent? { queue.withLock { $0.pop() } }
}

extension TopicEvent {
    fileprivate var size: Int { if case .message(let message) = self { message.body.count } else { 0 } }
}
