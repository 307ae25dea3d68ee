/// Runs one ``TimedMachine``: tells it the time with each event, has its actions carried out, and wakes it when it wants to
/// be woken.
///
/// Calling order: make it, set ``carryOut``, ``handle(_:)`` or ``note(_:)`` for each event, ``stop()``. Events that come
/// after that change the machine, and nothing is carried out any more.
///
/// Public, so that other modules compile it for their own machines: see ``Waiter``.
@NetworkActor
public final class MachineDriver<Machine: TimedMachine> {
    @inlinable public var machine: Machine { current }
    /// Carries out what an event has led to, in order. Called after each event of ``handle(_:)`` and each wake, with nothing
    /// too: what follows from the machine's state is looked at here. It may tell of further events itself, which are
    /// carried out before the rest.
    public var carryOut: (@NetworkActor ([Machine.Action]) -> Void)?
    @usableFromInline let clock: any NetworkClock
    @usableFromInline let timer: WakeTimer
    @inlinable public var isStopped: Bool { hasStopped }
    @usableFromInline var current: Machine
    @usableFromInline var hasStopped = false

    @inlinable
    public init(_ machine: Machine, clock: any NetworkClock) {
        current = machine
        self.clock = clock
        timer = WakeTimer(clock)
        timer.onWake = { [weak self] in
            guard let self else { return }
            act(on: current.timerFired(now: self.clock.now))
        }
    }

    /// Something happened that may lead to something.
    @inlinable
    public func handle(_ event: (inout Machine, NetworkInstant) -> [Machine.Action]) {
        act(on: event(&current, clock.now))
    }

    /// Something happened that leads to nothing now, but perhaps to another time of waking.
    @inlinable
    public func note(_ event: (inout Machine, NetworkInstant) -> Void) {
        event(&current, clock.now)
        arm()
    }

    /// The machine sleeps for good.
    @inlinable
    public func stop() {
        hasStopped = true
        timer.set(nil)
    }

    @inlinable
    func act(on actions: [Machine.Action]) {
        guard !hasStopped else { return }
        carryOut?(actions)
        arm()
    }

    @inlinable
    func arm() { timer.set(hasStopped ? nil : current.wake) }
}
