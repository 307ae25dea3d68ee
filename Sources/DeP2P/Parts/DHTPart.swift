internal import DeP2PDiscovery
internal import DeP2PIdentity
internal import DeP2PReach
internal import DeP2PReactor
internal import DeP2PSessions

/// Finds others in the DHT, lets this node be found there, if it is there to be reached, and serves it where it can.
@NetworkActor
final class DHTPart: NodePart {
    let dht: DHTNode
    let service: DHTService
    private let serving: MachineDriver<ServingMachine>
    private let reachability: Reachability
    private let staysUp: Bool

    init(of node: Node, _ configuration: NodeConfiguration, _ environment: NodeEnvironment) {
        let serves = configuration.servesDHT || configuration.relay != nil
        staysUp = configuration.reserves || serves
        reachability = node.own.reachability
        dht = DHTNode(
            node.connections,
            bootstrap: configuration.bootstrap + (configuration.usesRelays ? configuration.relays : []),
            memory: DHTMemory(
                node.storage, writes: !configuration.isEphemeral && configuration.identity != nil,
                wallClock: environment.wallClock))
        service = DHTService(dht)
        serving = MachineDriver(ServingMachine(isFixed: serves), clock: environment.clock)
        serving.carryOut = { [service] actions in
            for action in actions {
                switch action {
                case .serve: service.serve()
                case .stopServing: service.stopServing()
                }
            }
        }
        node.connections.sources.append(DHTPeerRouting(dht))
    }

    /// Whether others are answered.
    var isServing: Bool { serving.machine.isServing }

    func start() {
        guard staysUp else { return }
        serving.handle { machine, _ in machine.begin() }
        reachabilityChanged()
        dht.keepUp()
    }

    func reachabilityChanged() {
        guard staysUp else { return }
        serving.handle { [reachability] machine, now in machine.reachable(reachability.state == .reachable, now: now) }
    }

    func addressesChanged() { dht.addressesChanged() }

    func networkChanged() { dht.networkChanged() }

    func willStop(within grace: Duration) {
        serving.stop()
        service.stop()
    }

    func stop() async { await dht.stop() }
}
