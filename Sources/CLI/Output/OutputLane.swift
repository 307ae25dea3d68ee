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

    /// Bytes of short lines that are written at once: a hundred thousand reports of files are not as many system calls.
    static let together = 16_384

    /// Bytes for one destination, in the order in which they came.
    private struct Piece {
        let destination: Int
        var bytes: [UInt8]
        let write: @Sendable ([UInt8]) -> Void
    }

    private struct State {
        /// Bytes taken and not yet written.
        var waiting = 0
        /// Each has its turn in the queue.
        var pieces: [Piece] = []
    }

    private enum Taken { case refused, joined, new }

    private let queue: DispatchQueue
    private let state = Mutex(State())

    init(_ name: String) { queue = DispatchQueue(label: "dep2p.output.\(name)") }

    /// Whether the reader has fallen so far behind that what may be dropped is.
    var isBacklogged: Bool { state.withLock { $0.waiting >= Self.capacity } }

    /// Queues `bytes` for `write`, which may block, and may get them together with others of the same `destination`.
    ///
    /// - Parameter limit: the bytes that may wait, these included; nil always takes them.
    /// - Returns: whether they were taken.
    func enqueue(
        _ bytes: [UInt8], for destination: Int, limit: Int?, _ write: @escaping @Sendable ([UInt8]) -> Void
    ) -> Bool {
        let taken = state.withLock { state in
            guard limit.map({ state.waiting + bytes.count <= $0 }) ?? true else { return Taken.refused }
            state.waiting += bytes.count
            let last = state.pieces.count - 1
            if last >= 0, state.pieces[last].destination == destination, state.pieces[last].bytes.count < Self.together
            {
                state.pieces[last].bytes += bytes
                return .joined
            }
            state.pieces.append(Piece(destination: destination, bytes: bytes, write: write))
            return .new
        }
        if taken == .new { queue.async { [self] in writeNext() } }
        return taken != .refused
    }

    private func writeNext() {
        guard let piece = state.withLock({ $0.pieces.isEmpty ? nil : $0.pieces.removeFirst() }) else { return }
        piece.write(piece.bytes)
        state.withLock { $0.waiting -= piece.bytes.count }
    }

    /// Calls `body`, on some thread, once everything queued so far is written.
    func whenWritten(_ body: @escaping @Sendable () -> Void) { queue.async(execute: body) }

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
