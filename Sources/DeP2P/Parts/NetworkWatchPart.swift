internal import DeP2PIdentity
internal import DeP2PReach
internal import DeP2PReactor

/// Hears from the kernel when this machine's addresses or routes have changed, and tells the node.
@NetworkActor
final class NetworkWatchPart: NodePart {
    /// Not before it is clear that the node stays: a message is sent in less.
    private static let delay = Duration.milliseconds(500)

    private weak var node: Node?
    private let clock: any NetworkClock
    private var monitor: NetworkMonitor?
    private var timer: TimerToken?

    init(of node: Node) {
        self.node = node
        clock = node.clock
    }

    func start() {
        timer = clock.schedule(after: Self.delay) { [weak self] in self?.watch() }
    }

    private func watch() {
        guard let source = RouteSocket() else { return }
        let monitor = NetworkMonitor(source, clock: clock) {
            NetworkSnapshot(
                addresses: InterfaceAddresses.all(),
                gateways: [Gateway.current(.v4), Gateway.current(.v6)].compactMap(\.self))
        }
        monitor.onChange = { [weak self] in self?.node?.networkChanged() }
        self.monitor = monitor
    }

    func willStop(within grace: Duration) {
        timer.map(clock.cancel)
        monitor?.stop()
    }
}
