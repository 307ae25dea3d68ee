internal import DeP2PDiscovery
internal import DeP2PIdentity
internal import DeP2PReach
internal import DeP2PReactor
internal import DeP2PSessions

/// Finds others in the DHT, lets this node be found there, if it is there to be reached, and serves it where it can.
///
/// Strangers find it by its NodeID when it may be shown to them (``NodeIDShowing``); members of its realm do by the realm's
/// records. Who serves is known to all that it serves: a node that may not be shown does so only where it was told to.
@NetworkActor
final class DHTPart: NodePart {
    /// How long a node that would be shown in no realm waits first: it may be about to enter one.
    private static let patience = Duration.milliseconds(100)

    let dht: DHTNode
    let service: DHTService
    private let serving: MachineDriver<ServingMachine>
    private let reachability: Reachability
    private let staysUp: Bool
    private let showsNodeID: NodeIDShowing
    private weak var node: Node?
    private let clock: any NetworkClock
    private var timer: TimerToken?

    init(of node: Node, _ configuration: NodeConfiguration, _ environment: NodeEnvironment) {
        let serves = configuration.servesDHT || configuration.relay != nil
        staysUp = configuration.reserves || serves
        reachability = node.own.reachability
        (self.node, showsNodeID, clock) = (node, configuration.showsNodeID, environment.clock)
        let lasts = !configuration.isEphemeral && configuration.identity != nil
        dht = DHTNode(
            node.connections,
            bootstrap: configuration.bootstrap + (configuration.usesRelays ? configuration.relays : []),
            memory: DHTMemory(
                node.storage, writes: lasts, wallClock: environment.wallClock))
        service = DHTService(
            dht,
            memory: lasts
                ? DHTRecordMemory(node.storage, clock: environment.clock, wallClock: environment.wallClock) : nil)
        serving = MachineDriver(ServingMachine(isFixed: serves), clock: environment.clock)
        serving.carryOut = { [service] actions in
            for action in actions {
                switch action {
                case .serve: service.serve()
                case .stopServing: service.stopServing()
                }
            }
        }
        dht.ownAddresses = { [weak own = node.own] in
            own.map { $0.direct + $0.relayed.compactMap(\.withoutNodeID) } ?? []
        }
        node.connections.sources.append(DHTPeerRouting(dht))
    }

    /// Whether others are answered.
    var isServing: Bool { serving.machine.isServing }

    func start() {
        guard staysUp else { return }
        serving.handle { machine, _ in machine.begin() }
        node?.connections.onRealmChange { [weak self] in self?.show(inRealm: $0) }
        timer = clock.schedule(after: showsNodeID == .outsideRealms ? Self.patience : .zero) { [weak self] in
            guard let self else { return }
            show(inRealm: node?.realmID != nil)
        }
    }

    /// Who enters a realm meanwhile shows nothing before that has been decided.
    private func show(inRealm: Bool) {
        timer.map(clock.cancel)
        timer = nil
        dht.show(isShown(inRealm: inRealm))
        dht.keepUp()
        reachabilityChanged()
    }

    private func isShown(inRealm: Bool) -> Bool {
        switch showsNodeID {
        case .always: true
        case .outsideRealms: !inRealm
        case .never: false
        }
    }

    func reachabilityChanged() {
        guard staysUp else { return }
        let mayServe = reachability.state == .reachable && isShown(inRealm: node?.realmID != nil)
        serving.handle { machine, now in machine.reachable(mayServe, now: now) }
    }

    func addressesChanged() { dht.addressesChanged() }

    func networkChanged() { dht.networkChanged() }

    func willStop(within grace: Duration) {
        timer.map(clock.cancel)
        serving.stop()
        service.stop()
    }

    func stop() async { await dht.stop() }
}
