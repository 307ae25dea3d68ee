package import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReach
package import DeP2PReactor
package import DeP2PSessions
package import DeP2PSimulation

/// A node's connections over a network without latency.
@NetworkActor
package struct MemoryNode {
    package let key: IdentityKey
    package let transport: LightTransport
    package let connections: Connections
    package var nodeID: NodeID { key.nodeID }
    package var address: Address { .quic(transport.address.ip, port: transport.address.port, nodeID: key.nodeID) }

    package init(
        in network: LightNetwork, port: UInt16, ip: IPAddress = .v4Loopback,
        limits: ConnectionLimits = ConnectionLimits()
    ) {
        key = IdentityKey.generate()
        transport = network.node(key.nodeID, at: SocketAddress(ip, port: port))
        connections = Connections(
            localNodeID: key.nodeID, transport: transport,
            dialer: Dialer(transport: transport, clock: network.clock, limits: limits), clock: network.clock,
            limits: limits)
    }

    package func connect(to other: MemoryNode) async throws -> Session {
        try await connections.connect(to: DialTarget(addresses: [other.address]))
    }
}
