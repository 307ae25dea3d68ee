internal import Glibc

/// Takes connections off a listening socket, some a turn: what ``TCPAcceptor`` and ``UnixAcceptor`` share.
///
/// Owns the descriptor. Calling order: ``init(_:clock:)``, ``start(_:)`` once, ``close()``.
@NetworkActor
final class AcceptLoop {
    static let backlog: Int32 = 512
    /// Connections taken before other work gets its turn.
    private static let acceptsPerTurn = 16
    /// How long nothing is accepted when the process has no descriptor left.
    private static let exhaustionPause = Duration.milliseconds(200)

    private let clock: any NetworkClock
    private var descriptor: Int32
    private var watch: DescriptorWatch?
    private var accept: (@NetworkActor (_ descriptor: Int32) -> Int32)?

    init(_ descriptor: Int32, clock: any NetworkClock) { (self.descriptor, self.clock) = (descriptor, clock) }

    deinit {
        if descriptor >= 0 { Glibc.close(descriptor) }
    }

    /// - Parameter accept: takes one connection off the queue and hands it on; negative, the errno, when it could not.
    func start(_ accept: @escaping @NetworkActor (_ descriptor: Int32) -> Int32) {
        self.accept = accept
        listen()
    }

    func close() {
        guard descriptor >= 0 else { return }
        watch?.cancel()
        Glibc.close(descriptor)
        descriptor = -1
        accept = nil
    }

    private func listen() {
        watch = DescriptorWatch(descriptor, for: .readable) { [weak self] _ in self?.takeSome() }
    }

    private func takeSome() {
        for _ in 0..<Self.acceptsPerTurn where descriptor >= 0 {
            guard let accept else { return }
            let status = accept(descriptor)
            if [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(-status) { return pause() }
            if status == -EAGAIN { return }
        }
    }

    /// The connection that waits would wake the thread again and again.
    private func pause() {
        watch?.cancel()
        _ = clock.schedule(after: Self.exhaustionPause) { [weak self] in
            guard let self, descriptor >= 0 else { return }
            listen()
        }
    }
}
