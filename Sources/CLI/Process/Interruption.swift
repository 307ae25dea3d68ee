import Glibc
import Synchronization

/// The wish that the command end: from SIGINT or SIGTERM, or because nobody reads standard output any more.
///
/// Calling order: ``takeSignals()`` once, before other threads run; ``becomeGraceful()`` by a command that has something
/// to end in order. From then on the first wish is handed to whoever waits, and the second signal ends the process at
/// once. Before, the first signal does.
final class Interruption: Sendable {
    enum Reason: Sendable, Equatable {
        case signal(Int32)
        case brokenPipe

        /// The status of a command that does not run for long.
        var status: ExitStatus {
            switch self {
            case .signal(SIGINT): .interrupted
            case .signal: .terminated
            case .brokenPipe: .brokenPipe
            }
        }
    }

    private struct State {
        var isGraceful = false
        /// What daemons do on signals that do not end them.
        var handlers: [Int32: @Sendable () -> Void] = [:]
        var reason: Reason?
        /// When the first wish came.
        var wished: ContinuousClock.Instant?
        var nextWaiter = 0
        var waiters: [Int: CheckedContinuation<Reason?, Never>] = [:]
    }

    private let state = Mutex(State())

    /// Why the command is to end, once it is.
    var reason: Reason? { state.withLock { $0.reason } }

    /// Takes SIGINT and SIGTERM from now on, and SIGHUP and SIGUSR1, which end the process as ever where nothing was set
    /// with ``on(_:_:)``; but not those that the parent has ignored (nohup(1), a shell's background job).
    func takeSignals() {
        SignalThread.start([SIGINT, SIGTERM, SIGHUP, SIGUSR1]) { [self] signal in
            if let handler = state.withLock({ $0.handlers[signal] }) { return handler() }
            let isWish = signal == SIGINT || signal == SIGTERM
            if isWish, isEcho() || (isGraceful && trigger(.signal(signal))) { return }
            Self.die(of: signal)
        }
    }

    /// Calls `handler` on a thread of its own for each SIGHUP or SIGUSR1 from now on.
    func on(_ signal: Int32, _ handler: @escaping @Sendable () -> Void) {
        state.withLock { $0.handlers[signal] = handler }
    }

    /// From now on somebody waits, or will.
    func becomeGraceful() { state.withLock { $0.isGraceful = true } }

    /// From now on nobody waits any more: the next signal ends the process.
    func endGrace() { state.withLock { $0.isGraceful = false } }

    private var isGraceful: Bool { state.withLock { $0.isGraceful } }

    /// timeout(1) and terminals signal both a process and its group: the same wish arrives twice within this time.
    private static let echoTime = Duration.milliseconds(200)

    private func isEcho() -> Bool {
        state.withLock { state in state.wished.map { ContinuousClock.now - $0 < Self.echoTime } ?? false }
    }

    /// Ends the process as the system would have, so that a shell sees the signal.
    private static func die(of number: Int32) {
        signal(number, SIG_DFL)
        raise(number)
        _exit(128 + number)
    }

    /// Wishes for the end.
    ///
    /// - Returns: false when it was wished for before.
    @discardableResult
    func trigger(_ reason: Reason) -> Bool {
        let waiters: [CheckedContinuation<Reason?, Never>]? = state.withLock { state in
            guard state.reason == nil else { return nil }
            state.reason = reason
            state.wished = .now
            defer { state.waiters = [:] }
            return Array(state.waiters.values)
        }
        guard let waiters else { return false }
        for waiter in waiters { waiter.resume(returning: reason) }
        return true
    }

    /// Waits for the wish; nil when the task is cancelled first.
    func wait() async -> Reason? {
        let id = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let known: Reason?? = state.withLock { state in
                    if let reason = state.reason { return .some(reason) }
                    if Task.isCancelled { return .some(nil) }
                    state.waiters[id] = continuation
                    return nil
                }
                if let known { continuation.resume(returning: known) }
            }
        } onCancel: {
            let waiter = state.withLock { $0.waiters.removeValue(forKey: id) }
            waiter?.resume(returning: nil)
        }
    }
}
