package import DeP2PIdentity
internal import DeP2PQUIC
package import DeP2PReach
package import DeP2PReactor
package import DeP2PStorage

/// All that a node learns of the machine it runs on; its parts ask nothing else. A simulated world makes others, in which
/// nothing is the machine's.
///
/// Two things are not here: the user's files, which whoever sends or receives names by itself, and what GnuTLS draws for a
/// handshake. `Tests/machine.py` looks for what goes around it.
package struct NodeEnvironment: Sendable {
    package var clock: any NetworkClock
    /// Milliseconds since 1970: people and networks set it, forwards and backwards.
    package var wallClock: @Sendable () -> UInt64
    package var random: RandomSource
    /// Addresses of interfaces that are up, without link-local ones and without ports, in the order in which to tell them.
    package var interfaces: @Sendable () -> [InterfaceAddress]
    /// The interfaces that speak to neighbours: those that carry multicasts, and loopback.
    package var links: @Sendable () -> [NetworkLink]
    /// The router of a family's default route.
    package var gateway: @Sendable (IPAddress.Family) -> Gateway?
    /// The resolver.
    package var names: NameSource
    package var sockets: any NodeSockets
    /// Opens the store below a folder; it tells of each change of its condition, on any thread.
    package var storage:
        @Sendable (_ folder: String, _ report: @escaping @Sendable (StorageCondition) -> Void) -> any Storage
    package var host: HostMark
    /// Names the network that the machine is in, without saying which; it may block.
    package var network: @Sendable () -> String

    package init(
        clock: any NetworkClock, wallClock: @escaping @Sendable () -> UInt64, random: RandomSource,
        interfaces: @escaping @Sendable () -> [InterfaceAddress], links: @escaping @Sendable () -> [NetworkLink],
        gateway: @escaping @Sendable (IPAddress.Family) -> Gateway?, names: NameSource, sockets: any NodeSockets,
        storage:
            @escaping @Sendable (_ folder: String, _ report: @escaping @Sendable (StorageCondition) -> Void)
            -> any Storage,
        host: HostMark, network: @escaping @Sendable () -> String
    ) {
        (self.clock, self.wallClock, self.random) = (clock, wallClock, random)
        (self.interfaces, self.links, self.gateway, self.names) = (interfaces, links, gateway, names)
        (self.sockets, self.storage, self.host, self.network) = (sockets, storage, host, network)
    }
}

extension NodeEnvironment {
    /// What an endpoint takes from here.
    func apply(to configuration: EndpointConfiguration) -> EndpointConfiguration {
        var configuration = configuration
        configuration.resetScope = host.machine
        configuration.random = random
        configuration.wallClock = wallClock
        return configuration
    }

    @NetworkActor
    func natCheck() -> NATCheck {
        NATCheck(
            clock: clock, open: { [sockets] in try sockets.channel(Self.any($0), forStrangers: false) },
            source: { [sockets] in sockets.source(toward: $0) }, random: random)
    }

    /// What asking gateways for ports takes from here.
    var portMapping: PortMappingSurroundings {
        PortMappingSurroundings(
            gateway: gateway, source: { [sockets] in sockets.source(toward: $0) },
            open: { [sockets] in try sockets.channel(Self.any($0), forStrangers: false) },
            listen: { [sockets] in try sockets.member(of: $0, on: 0) }, usesUPnP: sockets.areSystem)
    }

    private static func any(_ family: IPAddress.Family) -> SocketAddress {
        SocketAddress(family == .v4 ? .v4Any : .v6Any, port: 0)
    }
}
