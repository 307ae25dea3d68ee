/// One timer that is set to another instant as often as one likes: what owns re-arming.
@NetworkActor
public final class WakeTimer {
    /// Called at the instant that was set last; nothing is set by then.
    public var onWake: (@NetworkActor () -> Void)?
    private let clock: any NetworkClock
    private var armed: (token: TimerToken, due: NetworkInstant)?

    public init(_ clock: any NetworkClock) {
        self.clock = clock
    }

    /// When it goes off; `nil`: not at all.
    public var due: NetworkInstant? { armed?.due }

    /// Has it go off at `wake`, or soon where that is past, and at no other time. Nothing is made or cancelled where that is
    /// what it is set to already.
    public func set(_ wake: NetworkInstant?) {
        guard wake != armed?.due else { return }
        if let armed { clock.cancel(armed.token) }
        armed = wake.map { wake in
            let token = clock.schedule(at: max(wake, clock.now)) { [weak self] in
                self?.armed = nil
                self?.onWake?()
            }
            return (token, wake)
        }
    }
}
