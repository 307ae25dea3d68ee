import Dispatch
import Synchronization

/// One stream's way out of the process: a queue with a writer of its own, so that a pipe that nobody reads, or a
/// terminal stopped with Ctrl-S, holds up what is written there and nothing else.
///
/// Order is kept. What may be dropped is refused once ``capacity`` bytes wait; what must arrive always finds room, and
/// whoever makes such bytes looks at ``isBacklogged`` before taking on more.
final class OutputLane: Sendable {
    /// Bytes that wait for the stream before what may be dropped is.
    static let capacity = 1 << 20
    /// A progress line is soon followed by another: it is left out when more bytes than these wait.
    static let progressCapacity = 4_096

    private let queue: DispatchQueue
    /// Bytes taken and not yet written.
    private let waiting = Mutex(0)

    init(_ name: String) { queue = DispatchQueue(label: "dep2p.output.\(name)") }

    /// Whether the reader has fallen so far behind that what may be dropped is.
    var isBacklogged: Bool { waiting.withLock { $0 >= Self.capacity } }

    /// Queues `write`, which writes `count` bytes and may block.
    ///
    /// - Parameter limit: the bytes that may wait, these included; nil always takes them.
    /// - Returns: whether they were taken.
    func enqueue(_ count: Int, limit: Int?, _ write: @escaping @Sendable () -> Void) -> Bool {
        let isTaken = waiting.withLock { waiting in
            guard limit.map({ waiting + count <= $0 }) ?? true else { return false }
            waiting += count
            return true
        }
        guard isTaken else { return false }
        queue.async { [self] in
            write()
            waiting.withLock { $0 -= count }
        }
        return true
    }

    /// Blocks until everything queued so far is written.
    ///
    /// - Parameter patience: how long at most; nil for as long as it takes.
    /// - Returns: whether it is.
    func drain(patience: Duration?) -> Bool {
        let done = DispatchSemaphore(value: 0)
        queue.async { done.signal() }
        guard let patience else {
            done.wait()
            return true
        }
        let (seconds, attoseconds) = patience.components
        let deadline = DispatchTime.now() + .seconds(Int(seconds)) + .nanoseconds(Int(attoseconds / 1_000_000_000))
        return done.wait(timeout: deadline) == .success
    }
}
