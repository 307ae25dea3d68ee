internal import DeP2PIdentity
internal import DeP2PReach
internal import DeP2PReactor

/// Hears from the kernel when this machine's addresses or routes have changed, when it has slept, and when its wall clock was
/// set, and tells the node.
@NetworkActor
final class NetworkWatchPart: NodePart {
    /// Not before it is clear that the node stays: a message is sent in less.
    private static let delay = Duration.milliseconds(500)

    private weak var node: Node?
    private let environment: NodeEnvironment
    private var clock: any NetworkClock { environment.clock }
    private var monitor: NetworkMonitor?
    private var clocks: (any ClockChangeSource)?
    private var timer: TimerToken?

    init(of node: Node, in environment: NodeEnvironment) {
        (self.node, self.environment) = (node, environment)
    }

    func start() {
        timer = clock.schedule(after: Self.delay) { [weak self] in self?.watch() }
    }

    private func watch() {
        clocks = environment.sockets.clockChanges()
        clocks?.onChange = { [weak self] change in
            switch change {
            // It may have been carried elsewhere, and gateways and relays have forgotten it where it has not.
            case .slept: self?.node?.networkChanged()
            // Whose place follows from the day is elsewhere now.
            case .set: self?.node?.realmRecordsPart?.addressesChanged()
            }
        }
        guard let source = environment.sockets.changes() else { return }
        let monitor = NetworkMonitor(source, clock: clock) { [environment] in
            NetworkSnapshot(
                addresses: environment.interfaces().map(\.address.ip),
                gateways: [IPAddress.Family.v4, .v6].compactMap(environment.gateway))
        }
        monitor.onChange = { [weak self] in self?.node?.networkChanged() }
        self.monitor = monitor
    }

    func willStop(within grace: Duration) {
        timer.map(clock.cancel)
        monitor?.stop()
        clocks?.close()
    }
}
