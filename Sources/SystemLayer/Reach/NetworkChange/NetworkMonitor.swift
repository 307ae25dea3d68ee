package import DeP2PReactor

/// Tells a node that its machine is in another network, or at another address: the shell around
/// ``NetworkMonitorMachine``.
@NetworkActor
package final class NetworkMonitor {
    /// Called once for all that changed together.
    package var onChange: (@NetworkActor () -> Void)?
    private let source: any NetworkChangeSource
    private let clock: any NetworkClock
    private let look: @NetworkActor () -> NetworkSnapshot
    private var machine: NetworkMonitorMachine
    private var timer: TimerToken?

    /// - Parameter look: what the network is like now.
    package init(
        _ source: any NetworkChangeSource, clock: any NetworkClock, look: @escaping @NetworkActor () -> NetworkSnapshot
    ) {
        self.source = source
        self.clock = clock
        self.look = look
        machine = NetworkMonitorMachine(look())
        source.onChange = { [weak self] in
            guard let self else { return }
            machine.changed(now: self.clock.now)
            schedule()
        }
    }

    package func stop() {
        source.close()
        if let timer { clock.cancel(timer) }
        timer = nil
        onChange = nil
    }

    private func schedule() {
        if let timer { clock.cancel(timer) }
        timer = machine.wake.map { instant in
            clock.schedule(at: instant) { [weak self] in
                guard let self else { return }
                timer = nil
                if machine.timerFired(look(), now: clock.now) { onChange?() }
            }
        }
    }
}
