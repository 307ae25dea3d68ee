internal import DeP2PReactor

/// The place of the one thing that is wanted, and has to arrive whole. What begins to arrive takes the place, and gives it
/// back when it breaks off; who comes meanwhile waits for how that ends.
///
/// Where everything is wanted there is room for all.
@NetworkActor
final class OncePlace {
    private enum State {
        case free
        case taken
        case filled
    }

    /// Messages that may wait for a transfer's end.
    static let waiterLimit = 64

    private let isLimited: Bool
    private var state = State.free
    private var waiters: [Waiter<Void>] = []
    private var endWaiters: [Waiter<Void>] = []

    init(once: Bool) {
        isLimited = once
    }

    /// Whether something is arriving now.
    var isTaken: Bool { isLimited && state == .taken }

    /// - Returns: whether the place is the caller's; false when the one thing has come, or too many wait.
    func take() async -> Bool {
        while isLimited {
            switch state {
            case .free:
                state = .taken
                return true
            case .filled: return false
            case .taken:
                guard waiters.count < Self.waiterLimit else { return false }
                let waiter = Waiter<Void>()
                waiters.append(waiter)
                do { try await waiter.value() } catch { return false }
            }
        }
        return true
    }

    /// What had the place has come whole, or broken off.
    func leave(filled: Bool) {
        guard isLimited, state == .taken else { return }
        state = filled ? .filled : .free
        let all = waiters + endWaiters
        (waiters, endWaiters) = ([], [])
        for waiter in all { waiter.resume(returning: ()) }
    }

    /// Waits until nothing is arriving.
    func waitUntilFree() async throws {
        while isTaken {
            let waiter = Waiter<Void>()
            endWaiters.append(waiter)
            try await waiter.value()
        }
    }
}
