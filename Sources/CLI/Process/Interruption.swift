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
            case .brokenPipe: .ok
            }
        }
    }

    private struct State {
        var isGraceful = false
        /// What daemons do on signals that do not end them.
        var handlers: [Int32: @Sendable () -> Void] = [:]
        var reason: Reason?
        var nextWaiter = 0
        var waiters: [Int: CheckedContinuation<Reason?, Never>] = [:]
    }

    private let state = Mutex(State())

    /// Why the command is to end, once it is.
    var reason: Reason? { state.withLock { $0.reason } }

    /// Takes SIGINT and SIGTERM from now on, from this thread and those it starts; SIGHUP and SIGUSR1 too, which end
    /// the process as ever where nothing was set with ``on(_:_:)``.
    func takeSignals() {
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, SIGINT)
        sigaddset(&set, SIGTERM)
        sigaddset(&set, SIGHUP)
        sigaddset(&set, SIGUSR1)
        // A thread of its own, so that nothing that blocks or hangs elsewhere can hold a signal up.
        pthread_sigmask(SIG_BLOCK, &set, nil)
        SignalThread.start(set) { [self] signal in
            if let handler = state.withLock({ $0.handlers[signal] }) { return handler() }
            let isWish = signal == SIGINT || signal == SIGTERM
            if !isWish || !isGraceful || !trigger(.signal(signal)) { Self.die(of: signal) }
        }
    }

    /// Calls `handler` on a thread of its own for each SIGHUP or SIGUSR1 from now on.
    func on(_ signal: Int32, _ handler: @escaping @Sendable () -> Void) {
        state.withLock { $0.handlers[signal] = handler }
    }

    /// From now on somebody waits, or will.
    func becomeGraceful() { state.withLock { $0.isGraceful = true } }

    private var isGraceful: Bool { state.withLock { $0.isGraceful } }

    /// Ends the process as the system would have, so that a shell sees the signal.
    private static func die(of number: Int32) {
        signal(number, SIG_DFL)
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, number)
        pthread_sigmask(SIG_UNBLOCK, &set, nil)
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

/// A thread that does nothing but wait for signals.
private enum SignalThread {
    private final class Box {
        let set: sigset_t
        let handle: @Sendable (Int32) -> Void

        init(_ set: sigset_t, _ handle: @escaping @Sendable (Int32) -> Void) {
            self.set = set
            self.handle = handle
        }
    }

    static func start(_ set: sigset_t, _ handle: @escaping @Sendable (Int32) -> Void) {
        var thread = pthread_t()
        let context = Unmanaged.passRetained(Box(set, handle)).toOpaque()
        let failure = pthread_create(&thread, nil, { SignalThread.run($0) }, context)
        if failure == 0 { pthread_detach(thread) }
    }

    private static func run(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
        guard let context else { return nil }
        // start() retained the box for this thread, which runs as long as the process.
        let box = Unmanaged<Box>.fromOpaque(context).takeRetainedValue()
        var set = box.set
        while true {
            var signal: Int32 = 0
            if sigwait(&set, &signal) == 0 { box.handle(signal) }
        }
    }
}
