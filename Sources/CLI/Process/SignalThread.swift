import Glibc
import Synchronization

/// A thread that does nothing but act on signals, so that nothing that blocks or hangs elsewhere can hold one up.
///
/// The handler proper only writes the signal's number to a pipe. Waiting with sigwait(3) would need the signals blocked
/// in every thread, and the dispatch library waits in one of its own with none blocked.
enum SignalThread {
    private final class Box {
        let source: Int32
        let handle: @Sendable (Int32) -> Void

        init(_ source: Int32, _ handle: @escaping @Sendable (Int32) -> Void) {
            self.source = source
            self.handle = handle
        }
    }

    /// The pipe's end for the handler, set before the handler is.
    private static let sink = Atomic<Int32>(-1)

    static func start(_ signals: [Int32], _ handle: @escaping @Sendable (Int32) -> Void) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { return }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        sink.store(ends[1], ordering: .releasing)
        var thread = pthread_t()
        let context = Unmanaged.passRetained(Box(ends[0], handle)).toOpaque()
        guard pthread_create(&thread, nil, { SignalThread.run($0) }, context) == 0 else { return }
        pthread_detach(thread)
        for number in signals {
            let previous = signal(number) { SignalThread.note($0) }
            // SIG_IGN is 1 (signal.h).
            if unsafeBitCast(previous, to: Int.self) == 1 { signal(number, SIG_IGN) }
        }
    }

    /// Runs as a signal handler: only what signal-safety(7) allows.
    private static func note(_ number: Int32) {
        let saved = errno
        var byte = UInt8(truncatingIfNeeded: number)
        _ = write(sink.load(ordering: .acquiring), &byte, 1)
        errno = saved
    }

    private static func run(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
        guard let context else { return nil }
        // start() retained the box for this thread, which runs as long as the process.
        let box = Unmanaged<Box>.fromOpaque(context).takeRetainedValue()
        while true {
            var byte: UInt8 = 0
            let count = read(box.source, &byte, 1)
            if count == 1 { box.handle(Int32(byte)) }
            if count == 0 || (count < 0 && errno != EINTR) { return nil }
        }
    }
}
