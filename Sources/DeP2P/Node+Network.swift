internal import DeP2PReactor
internal import Identity
internal import SystemLayer

extension Node {
    /// Calls `observer` when this machine's addresses or routes have changed, after the node has seen to it.
    public func onNetworkChange(_ observer: @escaping @NetworkActor () -> Void) { networkObservers.append(observer) }

    /// Only for a node with sockets of the system's, and not before it is clear that it stays: a message is sent in less.
    func watchNetworkSoon() {
        watching = clock.schedule(after: .milliseconds(500)) { [weak self] in self?.watchNetwork() }
    }

    private func watchNetwork() {
        guard let source = RouteSocket() else { return }
        let monitor = NetworkMonitor(source, clock: clock) {
            NetworkSnapshot(
                addresses: InterfaceAddresses.all(),
                gateways: [Gateway.current(.v4), Gateway.current(.v6)].compactMap(\.self))
        }
        monitor.onChange = { [weak self] in self?.networkChanged() }
        self.monitor = monitor
    }

    /// Everything that was found out about the network is found out anew.
    func networkChanged() {
        interfaces.forget()
        own.mappings?.networkChanged()
        own.reachability.networkChanged()
        relays.networkChanged()
        holePunch?.networkChanged()
        // Peers that were told of addresses are told of those that there are now.
        identify.push { [relays] session in !relays.isRelay(session) }
        for observer in networkObservers { observer() }
    }
}
