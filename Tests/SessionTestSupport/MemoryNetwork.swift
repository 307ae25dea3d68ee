public import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReach
public import DeP2PReactor
public import DeP2PSessions
public import DeP2PSimulation

/// Nodes that dial each other in memory, with addresses that behave as told.
@NetworkActor
public final class MemoryNetwork {
    public enum Behaviour {
        case answer(MemoryTransport)
        case fail(TransportFailure)
        /// Nothing ever answers.
        case hang
    }

    /// The nodes' clock: it stands still, however busy the machine is, but inside its `run`.
    public let clock = SimulatedNetwork(seed: 1)
    public var behaviours: [SocketAddress: Behaviour] = [:]
    public private(set) var dialled: [SocketAddress] = []

    public init() {}

    public func node(_ nodeID: NodeID, at address: SocketAddress) -> MemoryTransport {
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
public final class MemoryTransport: Transport {
    public let nodeID: NodeID
    public let address: SocketAddress
    public internal(set) var connections: [MemoryConnection] = []
    private let network: MemoryNetwork
    var handler: (@NetworkActor (any SecureConnection) -> Void)?

    init(_ nodeID: NodeID, at address: SocketAddress, in network: MemoryNetwork) {
        self.nodeID = nodeID
        self.address = address
        self.network = network
    }

    public var localAddresses: [SocketAddress] { [address] }

    public func connect(to address: SocketAddress, expecting nodeID: NodeID?) async throws -> any SecureConnection {
        try await network.connect(self, to: address, expecting: nodeID)
    }

    public func setConnectionHandler(_ handler: @escaping @NetworkActor (any SecureConnection) -> Void) {
        self.handler = handler
    }
}

/// A node's connections over a ``MemoryNetwork``.
@NetworkActor
public struct MemoryNode {
    public let key: IdentityKey
    public let transport: MemoryTransport
    public let connections: Connections
    public var nodeID: NodeID { key.nodeID }
    public var address: Address { .quic(transport.address.ip, port: transport.address.port, nodeID: key.nodeID) }

    public init(
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

    public func connect(to other: MemoryNode) async throws -> Session {
        try await connections.connect(to: DialTarget(addresses: [other.address]))
    }
}
