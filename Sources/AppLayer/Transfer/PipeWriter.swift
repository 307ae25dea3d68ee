internal import DeP2PQUIC
internal import Glibc
internal import Synchronization

/// Writes to a descriptor that somebody else reads, such as standard output, and can be told to give up: whoever reads
/// may pause for as long as it likes.
///
/// A pipe is opened once more without blocking, by its name in /proc: its own flags are shared with every process that
/// has it, and stay as they are.
final class PipeWriter: Sendable {
    private let descriptor: Int32
    /// A description of our own of the same pipe.
    private let own: Descriptor?
    private let isGivenUp = Atomic<Bool>(false)
    private let written = Atomic<UInt64>(0)

    var bytesWritten: UInt64 { written.load(ordering: .relaxed) }

    /// Milliseconds to wait for room before looking whether to go on.
    private static let patience: Int32 = 100

    init(_ descriptor: Int32) {
        self.descriptor = descriptor
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFIFO else {
            own = nil
            return
        }
        let path = Array("/proc/self/fd/\(descriptor)".utf8)
        // Without one of its own it waits as the shared one does.
        own = try? Descriptor.open(path, in: nil, flags: O_WRONLY | O_NONBLOCK).get()
    }

    /// Writes all of `range`.
    ///
    /// - Throws: what a write failed with; `CancellationError` after ``giveUp()``.
    func write(_ chunk: Chunk, _ range: Range<Int>) throws {
        var rest = range
        while !rest.isEmpty {
            guard !isGivenUp.load(ordering: .relaxed) else { throw CancellationError() }
            switch chunk.writeOnce(to: own?.number ?? descriptor, range: rest) {
            case .success(let count):
                written.wrappingAdd(UInt64(count), ordering: .relaxed)
                rest = rest.lowerBound + count..<rest.upperBound
            case .failure(let error) where error.errno == EAGAIN: waitForRoom()
            case .failure(let error): throw error
            }
        }
    }

    /// Ends a ``write(_:_:)`` that waits, and every later one.
    func giveUp() { isGivenUp.store(true, ordering: .relaxed) }

    private func waitForRoom() {
        var wanted = pollfd(fd: own?.number ?? descriptor, events: Int16(POLLOUT), revents: 0)
        _ = poll(&wanted, 1, Self.patience)
    }
}
