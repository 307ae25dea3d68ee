/// Runs one ``TimedMachine``: tells it the time with each event, has its actions carried out, and wakes it when it wants to
/// be woken.
///
/// Calling order: make it, set ``carryOut``, ``handle(_:)`` or ``note(_:)`` for each event, ``stop()``. Events that come
/// after that change the machine, and nothing is carried out any more.
@NetworkActor
package final class MachineDriver<Machine: TimedMachine> {
    package private(set) var machine: Machine
    /// Carries out what an event has led to, in order. Called after each event of ``handle(_:)`` and each wake, with nothing
    /// too: what follows from the machine's state is looked at here. It may tell of further events itself, which are
    /// carried out before the rest.
    package var carryOut: (@NetworkActor ([Machine.Action]) -> Void)?
    private let clock: any NetworkClock
    private let timer: WakeTimer
    package private(set) var isStopped = false

    package init(_ machine: Machine, clock: any NetworkClock) {
        self.machine = machine
        self.clock = clock
        timer = WakeTimer(clock)
        timer.onWake = { [weak self] in
            guard let self else { return }
            act(on: self.machine.timerFired(now: self.clock.now))
        }
    }

    /// Something happened that may lead to something.
    package func handle(_ event: (inout Machine, NetworkInstant) -> [Machine.Action]) {
        act(on: event(&machine, clock.now))
    }

    /// Something happened that leads to nothing now, but perhaps to another time of waking.
    package func note(_ event: (inout Machine, NetworkInstant) -> Void) {
        event(&machine, clock.now)
        arm()
    }

    /// The machine sleeps for good.
    package func stop() {
        isStopped = true
        timer.set(nil)
    }

    private func act(on actions: [Machine.Action]) {
        guard !isStopped else { return }
        carryOut?(actions)
        arm()
    }

    private func arm() { timer.set(isStopped ? nil : machine.wake) }
}
