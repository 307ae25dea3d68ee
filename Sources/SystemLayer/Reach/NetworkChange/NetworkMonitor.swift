package import DeP2PReactor

/// Tells a node that its machine is in another network, or at another address: the shell around
/// ``NetworkMonitorMachine``.
@NetworkActor
package final class NetworkMonitor {
    /// Called once for all that changed together.
    package var onChange: (@NetworkActor () -> Void)?
    private let source: any NetworkChangeSource
    private let look: @NetworkActor () -> NetworkSnapshot
    private let driver: MachineDriver<NetworkMonitorMachine>

    /// - Parameter look: what the network is like now.
    package init(
        _ source: any NetworkChangeSource, clock: any NetworkClock, look: @escaping @NetworkActor () -> NetworkSnapshot
    ) {
        self.source = source
        self.look = look
        driver = MachineDriver(NetworkMonitorMachine(look()), clock: clock)
        driver.carryOut = { [weak self] in self?.carryOut($0) }
        source.onChange = { [driver] in driver.note { $0.changed(now: $1) } }
    }

    package func stop() {
        source.close()
        driver.stop()
        onChange = nil
    }

    private func carryOut(_ actions: [NetworkMonitorMachine.Action]) {
        for action in actions {
            switch action {
            case .look:
                let current = look()
                driver.handle { machine, _ in machine.looked(current) }
            case .changed: onChange?()
            }
        }
    }
}
