internal import DeP2PApp
internal import DeP2PIdentity
internal import DeP2PReactor
internal import DeP2PSessions

/// The streams of one name that members open to this node: `for await stream in try await node.acceptStreams("echo") { … }`.
///
/// The sequence ends with the node's stop, with ``cancel()``, and in a task that is cancelled; letting go of it cancels it
/// too. Several tasks may read it: each stream goes to one of them. Streams that were taken go on whatever becomes of it.
///
/// Whoever takes one after the other lets the others wait: ``waitingLimit`` at once, of one node ``waitingLimitPerNode``,
/// and each for ``patience``. Those beyond are refused, and their openers told that this node is busy.
@NetworkActor
public final class IncomingStreams {
    /// Streams that may wait to be taken, of all nodes, and of one.
    public nonisolated static let waitingLimit = 256
    public nonisolated static let waitingLimitPerNode = 32
    /// How long one waits to be taken.
    public nonisolated static let patience = Duration.seconds(30)

    /// What they are called.
    public nonisolated let name: String
    private let clock: any NetworkClock
    private weak var acceptors: StreamAcceptors?
    private var waiting = WaitingStreams<NodeStream>()
    private var takers: [Waiter<Void>] = []
    private var isFinished = false

    init(_ name: String, clock: any NetworkClock, acceptors: StreamAcceptors) {
        (self.name, self.clock, self.acceptors) = (name, clock, acceptors)
    }

    deinit {
        let (name, acceptors) = (name, acceptors)
        networkTask { acceptors?.letGo(of: name) }
    }

    var isAccepting: Bool { !isFinished }
    var waitingCount: Int { waiting.count }

    /// Takes no more streams; those that wait are refused.
    public func cancel() {
        guard !isFinished else { return }
        isFinished = true
        acceptors?.letGo(of: name)
        for stream in waiting.removeAll() { stream.reset(with: .busy) }
        for taker in takers { taker.resume(returning: ()) }
    }

    /// A stream that a member has opened waits from now on.
    ///
    /// - Returns: what its handler waits for, and what ``leave(_:)`` takes then.
    /// - Throws: ``SessionError`` `busy` when too many wait.
    func enqueue(_ stream: AppStream) throws -> Place {
        guard !isFinished, waiting.hasRoom(for: stream.peer) else { throw SessionError(.busy) }
        let stream = NodeStream(stream)
        let number = waiting.add(stream, of: stream.peer)
        let timer = clock.schedule(after: Self.patience) { [weak self] in
            self?.waiting.remove(number)?.reset(with: .busy)
        }
        takers.first { !$0.isResolved }?.resume(returning: ())
        return Place(number: number, timer: timer, ended: stream.ended)
    }

    struct Place {
        let number: Int
        let timer: TimerToken
        /// Resumed when the stream has ended in both directions.
        let ended: Waiter<Void>
    }

    /// The stream has ended, or its connection.
    func leave(_ place: Place) {
        clock.cancel(place.timer)
        waiting.remove(place.number)
    }

    fileprivate func next() async -> NodeStream? {
        while true {
            if let stream = waiting.takeFirst() { return stream }
            guard !isFinished else { return nil }
            let taker = Waiter<Void>()
            takers.append(taker)
            defer { takers.removeAll { $0 === taker } }
            // Cancelled: there is nothing more for this task.
            do { try await taker.value() } catch { return nil }
        }
    }
}

extension IncomingStreams: AsyncSequence {
    public typealias Element = NodeStream
    public typealias Failure = Never

    public nonisolated func makeAsyncIterator() -> Iterator { Iterator(streams: self) }

    public struct Iterator: AsyncIteratorProtocol {
        fileprivate let streams: IncomingStreams

        public mutating func next(isolation actor: isolated (any Actor)? = #isolation) async -> NodeStream? {
            await streams.next()
        }
    }
}
