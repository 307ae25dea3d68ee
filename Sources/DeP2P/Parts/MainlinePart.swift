internal import DeP2PDiscovery
internal import DeP2PIdentity
internal import DeP2PReach
internal import DeP2PReactor
internal import DeP2PSessions

/// The BitTorrent DHT as a second store of the realm's records. This node is a client there: it answers nobody and keeps
/// nothing for others.
@NetworkActor
final class MainlinePart: NodePart {
    /// Nodes named by which others are found, and addresses of one of them and a family.
    private static let nodeLimit = 16
    private static let addressesEach = 2

    let mainline: MainlineNode

    init(of node: Node, _ configuration: NodeConfiguration, _ environment: NodeEnvironment) {
        let (sockets, clock, names) = (environment.sockets, environment.clock, environment.names)
        // What is no HOST:PORT leads nowhere.
        let entrances = configuration.mainlineNodes.compactMap { try? HostPort($0) }.compactMap(Address.init(quic:))
        mainline = MainlineNode(
            MainlineSurroundings(
                clock: clock, random: environment.random,
                // Longer datagrams than strangers may send elsewhere; none counts that was not asked for.
                open: { try sockets.channel(SocketAddress($0 == .v4 ? .v4Any : .v6Any, port: 0), forStrangers: false) },
                rule: { [weak connections = node.connections] in
                    connections?.addressRule() ?? AddressRule(interfaces: [])
                },
                entrances: { await Self.addresses(of: Array(entrances.prefix(Self.nodeLimit)), clock, names) }),
            memory: MainlineMemory(
                node.storage, writes: !configuration.isEphemeral && configuration.identity != nil,
                wallClock: environment.wallClock))
    }

    /// Where these are: their names are looked up side by side, as those of servers that a NAT check asks.
    private static func addresses(
        of entrances: [Address], _ clock: any NetworkClock, _ names: NameSource
    ) async -> [SocketAddress] {
        let tasks = entrances.map { entrance in
            SharedTask { try await NATObservers.resolve([entrance], clock: clock, names: names).udp }
        }
        var all: [SocketAddress] = []
        for task in tasks {
            let found = await traced(awaiting: "a node of the BitTorrent DHT") { try await task.value() } ?? []
            for family in [IPAddress.Family.v4, .v6] {
                all += found.filter { $0.ip.family == family }.prefix(Self.addressesEach)
            }
        }
        return all
    }

    func networkChanged() { mainline.networkChanged() }

    func stop() async { mainline.stop() }
}
