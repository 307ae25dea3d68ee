internal import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReach
internal import DeP2PReactor
internal import DeP2PSessions

/// Where others reach a node, as far as it is known now.
@NetworkActor
final class OwnAddresses {
    let reachability: Reachability
    /// The ports that gateways keep open, where they are asked to.
    var mappings: PortMappings?
    private weak var endpoint: Endpoint?
    private weak var listener: TCPListener?
    private weak var relays: RelayClient?
    private let interfaces: InterfaceCache
    private let usesDirect: Bool

    /// - Parameter servers: relays that the node may ask about its network.
    init(
        _ connections: Connections, endpoint: Endpoint, stun: STUNService, listener: TCPListener?, relays: RelayClient,
        usesDirect: Bool, servers: [SocketAddress], interfaces: InterfaceCache, environment: NodeEnvironment
    ) {
        self.interfaces = interfaces
        self.endpoint = endpoint
        self.listener = listener
        self.relays = relays
        self.usesDirect = usesDirect
        let owner = Owner()
        var surroundings = Reachability.Surroundings()
        surroundings.ports = { owner.own?.mappings?.mappings.map(\.externalPort) ?? [] }
        surroundings.own = { owner.own?.certain ?? [] }
        surroundings.isChosen = { [weak connections, weak relays] session in
            connections?.isProtected(session.remoteNodeID) == true || relays?.isNamedRelay(session) == true
        }
        surroundings.filtering = { [weak relays] family in
            guard let relays else { return nil }
            let observers = (relays.observers + servers).filter { $0.ip.family == family }
            let report = await traced(awaiting: "whom the NAT lets in") {
                try await environment.natCheck().run(observers: observers, scope: .filtering)
            }
            return family == .v4 ? report?.ipv4Family : report?.ipv6Family
        }
        reachability = Reachability(connections, stun: stun, surroundings: surroundings)
        owner.own = self
    }

    /// Best first, without the NodeID: the interfaces' global addresses, those that others have reached or gateways
    /// forward, the interfaces' other ones.
    var direct: [Address] {
        guard usesDirect, let endpoint else { return [] }
        let own = Listening.shareable(endpoint.localAddresses, of: { interfaces.current })
        let isGlobal = { (address: Address) in if case .ip(let ip)? = address.host { ip.isGlobal } else { false } }
        var result = own.filter(isGlobal)
        for address in (reachability.verified + forwarded).map({ Address.quic($0.ip, port: $0.port) })
        where !result.contains(address) { result.append(address) }
        return result + own.filter { !isGlobal($0) }
            + Listening.shareable(listener?.localAddresses ?? [], of: { interfaces.current }, overTCP: true)
    }

    /// Through relays, best first.
    var relayed: [Address] { relays?.standing.flatMap(\.addresses) ?? [] }

    /// What gateways say that they forward; not what somebody has tried in vain, as it is behind a second NAT.
    private var forwarded: [SocketAddress] {
        (mappings?.addresses ?? []).filter { $0.ip.isGlobal && !reachability.refuted.contains($0) }
    }

    /// Addresses that take nobody's word: the interfaces', and what gateways say that they forward.
    private var certain: [SocketAddress] {
        Listening.interfaces(endpoint?.localAddresses ?? [], of: interfaces.current).map(\.address)
            + (mappings?.addresses ?? [])
    }

    /// The reachability is made before its owner is whole.
    @NetworkActor
    private final class Owner {
        weak var own: OwnAddresses?
    }
}
