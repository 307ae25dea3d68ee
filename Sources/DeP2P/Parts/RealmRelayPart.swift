internal import DeP2PIdentity
internal import DeP2PReach
internal import DeP2PReactor
internal import DeP2PSessions

/// Relays for the members of this node's realm while others reach it at a public address, and lets them know.
///
/// That they do is what nodes say that dialled back, or is seen: somebody out in the world has come in by himself at a public
/// address of one of this machine's interfaces. A server dials nobody whom it could ask.
@NetworkActor
final class RealmRelayPart: NodePart {
    private weak var node: Node?
    private let limits: RelayLimits
    /// Whether the node is a relay in any case, and only says so here.
    private let isFixed: Bool
    private let driver: MachineDriver<RealmRelayMachine>
    private let interfaces: InterfaceCache
    /// Public addresses of this machine at which somebody came in.
    private var seen: Set<IPAddress> = []
    private var service: RelayService?

    init(of node: Node, _ configuration: NodeConfiguration, _ interfaces: InterfaceCache) {
        self.node = node
        self.interfaces = interfaces
        isFixed = configuration.relay != nil
        limits = configuration.realmRelayLimits
        driver = MachineDriver(RealmRelayMachine(), clock: node.clock)
        driver.carryOut = { [weak self] actions in
            for action in actions {
                switch action {
                case .serve: self?.serve()
                case .stopServing: self?.stopServing()
                }
            }
        }
    }

    func start() {
        guard let node else { return }
        node.connections.onAdmission { [weak self] session in
            // Who was asked before it was a member did not say that it relays.
            if self?.isOffering == true { self?.node?.identifyPart?.tell(session) }
        }
        guard !isFixed else {
            node.relayService?.offer()
            return
        }
        node.connections.onRealmChange { [weak self] in self?.changed(isInRealm: $0) }
        node.connections.onSession { [weak self] session in self?.came(session) }
    }

    private var isOffering: Bool { isFixed || driver.machine.isServing }

    /// Whether it relays for the realm now.
    var isServing: Bool { isOffering && node?.realmID != nil }

    private func came(_ session: Session) {
        guard !session.isInitiator, session.path.kind == .direct, session.path.tcpPeer == nil,
            let peer = session.validatedPeer, peer.ip.isGlobal, let local = session.path.local?.ip, local.isGlobal
        else { return }
        let own = interfaces.current
        let isNear = own.contains { $0.address.ip == peer.ip || $0.isNear(peer.ip) }
        guard !isNear, own.contains(where: { $0.address.ip == local }), seen.insert(local).inserted else { return }
        changed(isInRealm: node?.realmID != nil)
    }

    func reachabilityChanged() { changed(isInRealm: node?.realmID != nil) }

    func networkChanged() {
        let own = Set(interfaces.current.map(\.address.ip))
        seen.formIntersection(own)
        changed(isInRealm: node?.realmID != nil)
    }

    private func changed(isInRealm: Bool) {
        guard !isFixed, let node else { return }
        let isReachable =
            switch node.reachability {
            case .reachable: true
            case .unknown: !seen.isEmpty
            // Strangers' packets do not come in, whoever came in before.
            case .unreachable: false
            }
        driver.handle { $0.changed(isInRealm: isInRealm, isReachable: isReachable, now: $1) }
    }

    private func serve() {
        guard let node else { return }
        let service = RelayService(node.connections, endpoint: node.endpoint, limits: limits, membersOnly: true)
        service.onEvent = { [hub = node.hub] event in hub.emit(.relaying(event)) }
        self.service = service
        node.relayService = service
        node.relays.service = service
        node.relays.withdrawAllOfRealm()
        service.offer()
        node.hub.emit(.realmRelay(isServing: true))
        node.identifyPart?.addressesChanged()
    }

    private func stopServing() {
        guard let node, let service else { return }
        self.service = nil
        service.withdrawOffer()
        service.stop()
        node.relayService = nil
        node.hub.emit(.realmRelay(isServing: false))
        node.identifyPart?.addressesChanged()
        // Who needed no relay while it was one may need one now, and members have said long ago that they are.
        if node.realmID != nil { node.relayClientPart?.reachabilityChanged() }
    }

    func willStop(within grace: Duration) {
        driver.stop()
        service?.stop()
    }
}
