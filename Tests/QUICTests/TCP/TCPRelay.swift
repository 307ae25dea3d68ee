import DeP2PIdentity
import DeP2PReactor
import Testing

@testable import DeP2PQUIC

@NetworkActor
func loopbackEndpoint() throws -> Endpoint {
    let endpoint = try Endpoint(
        key: .generate(), driver: UDPDriver(bind: [SocketAddress(.v4Loopback, port: 0)]))
    endpoint.onConnection = serveEcho
    endpoint.start()
    return endpoint
}

/// Waits for what other tasks are about to bring about.
@NetworkActor
func eventually(_ condition: () -> Bool) async throws {
    while !condition() { try await SystemNetworkClock.shared.sleep(for: .milliseconds(2)) }
}

/// A relay that listens on UDP and TCP.
@NetworkActor
final class TCPRelay {
    let endpoint: Endpoint
    let listener: TCPListener
    private var clients: [NodeID: Connection] = [:]

    var tcpAddress: SocketAddress { listener.localAddresses[0] }

    init(limits: TCPListener.Limits = TCPListener.Limits()) throws {
        endpoint = try loopbackEndpoint()
        listener = try TCPListener(bind: [SocketAddress(.v4Loopback, port: 0)], limits: limits)
        _ = endpoint.startForwarding()
        endpoint.accept(from: listener)
        endpoint.onConnection = { [unowned self] connection in
            clients[connection.remoteNodeID] = connection
            serveEcho(connection)
        }
    }

    func connection(of nodeID: NodeID) async throws -> Connection {
        try await eventually { self.clients[nodeID] != nil }
        return try #require(clients[nodeID])
    }

    @NetworkActor
    struct Pair {
        let left: Endpoint
        let right: Endpoint
        let leftLeg: RelayLeg
        let rightLeg: RelayLeg
        let circuit: RelayCircuit

        func dial() async throws -> Connection {
            let ends = try #require(leftLeg.open(circuit.ids.first))
            return try await left.connect(
                to: ends.remote, from: ends.local, kind: .relay(leftLeg.relayID), expecting: right.nodeID)
        }

        func close() {
            left.close()
            right.close()
        }
    }

    func circuit(leftOverTCP: Bool, rightOverTCP: Bool) async throws -> Pair {
        func leg(_ client: Endpoint, overTCP: Bool) async throws -> RelayLeg {
            let connection =
                overTCP
                ? try await client.connect(tcp: tcpAddress, expecting: endpoint.nodeID)
                : try await client.connect(to: endpoint.localAddresses[0], expecting: endpoint.nodeID)
            return RelayLeg(connection)
        }
        let (left, right) = (try loopbackEndpoint(), try loopbackEndpoint())
        let (leftLeg, rightLeg) = (
            try await leg(left, overTCP: leftOverTCP), try await leg(right, overTCP: rightOverTCP)
        )
        let sides = (try await connection(of: left.nodeID), try await connection(of: right.nodeID))
        let circuit = try #require(endpoint.startForwarding().open(sides.0, sides.1))
        _ = try #require(rightLeg.open(circuit.ids.second))
        return Pair(left: left, right: right, leftLeg: leftLeg, rightLeg: rightLeg, circuit: circuit)
    }
}
