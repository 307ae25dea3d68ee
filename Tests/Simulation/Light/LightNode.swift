package import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReach
package import DeP2PReactor
package import DeP2PSessions

/// A node without packets: its sessions are as those of a whole one, and so are the protocols that run on them.
@NetworkActor
package struct LightNode {
    package let nodeID: NodeID
    /// The one that it was given: it keeps none of its own, of which ten thousand have no room.
    package let key: IdentityKey?
    package let transport: LightTransport
    package let connections: Connections
    package var address: Address { .quic(transport.address.ip, port: transport.address.port, nodeID: nodeID) }

    package func connect(to other: LightNode) async throws -> Session {
        try await connections.connect(to: DialTarget(addresses: [other.address]))
    }
}

extension SimulatedWorld {
    /// A light node at an address.
    ///
    /// - Parameter key: whose NodeID it has; without one it is drawn.
    package func lightNode(
        at ip: IPAddress = .v4Loopback, port: UInt16 = 4001, key: IdentityKey? = nil,
        limits: ConnectionLimits = ConnectionLimits()
    ) -> LightNode {
        let random = randomSource()
        let nodeID = (key ?? IdentityKey.generate(from: random)).nodeID
        let transport = light.node(nodeID, at: SocketAddress(ip, port: port))
        let names = NameSource(addresses: { [names] name, family in names.look(up: name, family) }, zone: { _ in nil })
        let udp = UDPMemory(wallClock: wallClock, network: { "\(ip)" })
        let connections = Connections(
            localNodeID: nodeID, transport: transport,
            dialer: Dialer(transport: transport, clock: network, limits: limits, names: names, udp: udp),
            clock: network, random: random, limits: limits, peers: PeerStore(clock: network, wallClock: wallClock))
        return LightNode(nodeID: nodeID, key: key, transport: transport, connections: connections)
    }
}
