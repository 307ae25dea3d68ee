package import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReach
package import DeP2PReactor
package import DeP2PSessions
package import DeP2PSimulation

/// Nodes that dial each other in memory, with addresses that behave as told.
@NetworkActor
package final class MemoryNetwork {
    package enum Behaviour {
        case answer(MemoryTransport)
        case fail(TransportFailure)
        /// Nothing ever answers.
        case hang
    }

    /// The nodes' clock: it stands still, however busy the machine is, but inside its `run`.
    package let clock = SimulatedNetwork(seed: 1)
    package var behaviours: [SocketAddress: Behaviour] = [:]
    package private(set) var dialled: [SocketAddress] = []

    package init() {}

    package func node(_ nodeID: NodeID, at address: SocketAddress) -> MemoryTransport {
        let transport = MemoryTransport(nodeID, at: address, in: self)
        behaviours[address] = .answer(transport)
        return transport
    }

    func connect(_ dialler: MemoryTransport, to address: SocketAddress, expecting: NodeID?) async throws
        -> any SecureConnection
    {
        dialled.append(address)
        switch behaviours[address] {
        case nil: throw TransportFailure(.refused, detail: "nothing listens")
        case .fail(let failure): throw failure
        case .hang:
            let never = Waiter<any SecureConnection>()
            return try await never.value()
        case .answer(let listener):
            if let expecting, expecting != listener.nodeID {
                throw TransportFailure(.wrongPeer, detail: "expected \(expecting), found \(listener.nodeID)")
            }
            let pair = MemoryConnection.pair(
                initiator: dialler.nodeID, acceptor: listener.nodeID, initiatorAddress: dialler.address,
                acceptorAddress: listener.address)
            dialler.connections.append(pair.initiator)
            listener.connections.append(pair.acceptor)
            listener.handler?(pair.acceptor)
            return pair.initiator
        }
    }
}

@NetworkActor
package final class MemoryTransport: Transport {
    package let nodeID: NodeID
    package let address: SocketAddress
    package internal(set) var connections: [MemoryConnection] = []
    private let network: MemoryNetwork
    var handler: (@NetworkActor (any SecureConnection) -> Void)?

    init(_ nodeID: NodeID, at address: SocketAddress, in network: MemoryNetwork) {
        self.nodeID = nodeID
        self.address = address
        self.network = network
    }

    package var localAddresses: [SocketAddress] { [address] }

    package func connect(to address: SocketAddress, expecting nodeID: NodeID?) async throws -> any SecureConnection {
        try await network.connect(self, to: address, expecting: nodeID)
    }

    package func setConnectionHandler(_ handler: @escaping @NetworkActor (any SecureConnection) -> Void) {
        self.handler = handler
    }
}

/// A node's connections over a ``MemoryNetwork``.
@NetworkActor
package struct MemoryNode {
    package let key: IdentityKey
    package let transport: MemoryTransport
    package let connections: Connections
    package var nodeID: NodeID { key.nodeID }
    package var address: Address { .quic(transport.address.ip, port: transport.address.port, nodeID: key.nodeID) }

    package init(
        in network: MemoryNetwork, port: UInt16, ip: IPAddress = .v4Loopback,
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
