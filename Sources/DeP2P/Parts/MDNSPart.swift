internal import DeP2PDiscovery
internal import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReactor
internal import DeP2PSessions

/// Looks for others on this machine's networks, and lets this node be found there, if it is there to be reached.
@NetworkActor
final class MDNSPart: NodePart {
    /// How long a node that would show its NodeID in no realm waits first: it may be about to enter one.
    private static let patience = Duration.milliseconds(250)

    private let mdns: MDNS
    private let clock: any NetworkClock
    private var timer: TimerToken?
    private weak var node: Node?
    private let showsNodeID: NodeIDShowing
    private let isFound: Bool

    init(of node: Node, _ configuration: NodeConfiguration, _ environment: NodeEnvironment) {
        self.node = node
        showsNodeID = configuration.showsNodeID
        isFound = configuration.reserves
        clock = environment.clock
        let sockets = environment.sockets
        mdns = MDNS(
            node.nodeID,
            in: MDNSSurroundings(
                clock: environment.clock, random: environment.random, links: environment.links,
                open: { group, interface in try sockets.member(of: group, on: interface) },
                addresses: { [weak endpoint = node.endpoint] link in
                    Self.addresses(of: endpoint?.localAddresses ?? [], on: link)
                }))
        node.connections.sources.append(mdns)
        node.connections.memberSources.append(mdns)
    }

    /// Where sockets bound to `bound` are reached on a link: at its own addresses, those that only it knows last.
    private static func addresses(of bound: [SocketAddress], on link: NetworkLink) -> [Address] {
        let all = link.addresses.map(\.address.ip).flatMap { ip in
            bound.filter { $0.ip == ip || ($0.ip.isUnspecified && $0.ip.family == ip.family) }
                .map { Address.quic(ip, port: $0.port) }
        }
        let isLinkLocal = { (address: Address) in
            if case .ip(let ip)? = address.host { ip.isLinkLocal } else { false }
        }
        return all.filter { !isLinkLocal($0) } + all.filter(isLinkLocal)
    }

    func start() {
        node?.connections.onRealmChange { [weak self] _ in self?.show() }
        timer = clock.schedule(after: showsNodeID == .outsideRealms ? Self.patience : .zero) { [weak self] in
            self?.timer = nil
            self?.show()
        }
    }

    private func show() {
        // Who enters a realm meanwhile shows nothing before that has been decided.
        timer.map(clock.cancel)
        timer = nil

        let key = node?.realm.deriveKey(label: MemberTag.keyLabel)
        mdns.show(isFound ? showing(inRealm: key != nil) : .nobody, realm: key)
    }

    private func showing(inRealm: Bool) -> MDNS.Showing {
        switch showsNodeID {
        case .always: .everybody
        case .outsideRealms: inRealm ? .members : .everybody
        case .never: inRealm ? .members : .nobody
        }
    }

    func networkChanged() { mdns.networkChanged() }

    func willStop(within grace: Duration) {
        timer.map(clock.cancel)
        mdns.withdraw()
    }

    func stop() async { mdns.close() }
}
