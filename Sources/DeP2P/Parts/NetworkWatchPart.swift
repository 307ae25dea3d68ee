internal import DeP2PIdentity
internal import DeP2PReach
internal import DeP2PReactor

/// Hears from the kernel when this machine's addresses or routes have changed, and tells the node.
@NetworkActor
final class NetworkWatchPart: NodePart {
    /// Not before it is clear that the node stays: a message is sent in less.
    private static let delay = Duration.milliseconds(500)

    private weak var node: Node?
    private let environment: NodeEnvironment
    private var clock: any NetworkClock { environment.clock }
    private var monitor: NetworkMonitor?
    private var timer: TimerToken?

    init(of node: Node, in environment: NodeEnvironment) {
        (self.node, self.environment) = (node, environment)
    }

    func start() {
        timer = clock.schedule(after: Self.delay) { [weak self] in self?.watch() }
    }

    private func watch() {
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
    }
}
