internal import DeP2PDiscovery
internal import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReach
internal import DeP2PReactor
internal import DeP2PStorage

extension NodeEnvironment {
    /// This machine.
    @NetworkActor
    package static var system: NodeEnvironment {
        NodeEnvironment(
            clock: SystemNetworkClock.shared, wallClock: WallClock.milliseconds, random: .system,
            interfaces: { InterfaceAddresses.all() }, links: { InterfaceAddresses.links() },
            gateway: { Gateway.current($0) }, names: .system,
            sockets: SystemSockets(), storage: { SQLiteStorage(folder: $0, report: $1) }, host: .system(),
            network: { NetworkFingerprint.current() })
    }
}

private struct SystemSockets: NodeSockets {
    var areSystem: Bool { true }

    func driver(_ addresses: [SocketAddress]) throws -> any PacketDriver { try Listening.open(addresses) }

    func listener(_ addresses: [SocketAddress]) throws -> TCPListener? { try Listening.openTCP(addresses) }

    func channel(_ address: SocketAddress, forStrangers: Bool) throws -> any DatagramChannel {
        try DatagramSocket(bind: address, budget: forStrangers ? StrangerBudget() : nil)
    }

    func member(of group: SocketAddress, on interface: UInt32) throws -> any DatagramChannel {
        try DatagramSocket(
            group: group, interface: interface, budget: StrangerBudget(largest: DNSMessage.longest))
    }

    func changes() -> (any NetworkChangeSource)? { RouteSocket() }

    func clockChanges() -> (any ClockChangeSource)? { ClockWatch() }

    func source(toward destination: SocketAddress) -> IPAddress? { IPAddress.source(toward: destination) }
}
