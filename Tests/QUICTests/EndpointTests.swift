import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

/// Two endpoints that talk, on a simulated network or over the loopback device.
@Suite(.serialized, .timeLimit(.minutes(2)))
@NetworkActor
struct EndpointTests {
    @Test func echoesOverTheSimulatedNetwork() async throws {
        let network = SimulatedWorld(seed: 1).network
        try await network.run {
            let pair = try SimulatedPair(network)
            let connection = try await pair.connect()
            #expect(connection.remoteNodeID == pair.server.nodeID)
            let reply = try await exchange(connection, Array("hello".utf8))
            #expect(reply == Array("hello".utf8))
        }
    }

    @Test func survivesLossReorderingAndDuplication() async throws {
        let network = SimulatedWorld(seed: 7).network
        network.link.loss = 0.05
        network.link.reordering = 0.05
        network.link.duplication = 0.02
        try await network.run {
            let pair = try SimulatedPair(network)
            let connection = try await pair.connect()
            let data = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
            let reply = try await exchange(connection, data)
            #expect(reply == data)
        }
        #expect(network.lost > 0)
    }

    @Test func refusesTheWrongNodeID() async throws {
        let network = SimulatedWorld(seed: 2).network
        let other = IdentityKey.generate().nodeID
        try await network.run {
            let pair = try SimulatedPair(network)
            await #expect(throws: QUICError(.wrongPeer, "")) {
                _ = try await pair.client.connect(to: pair.serverAddress, expecting: other)
            }
        }
    }

    @Test func bothSidesSeeTheCloseCodeAndReason() async throws {
        let network = SimulatedWorld(seed: 3).network
        try await network.run {
            let pair = try SimulatedPair(network)
            let connection = try await pair.connect()
            let inbound = try await pair.inbound.value()
            connection.close(code: 42, reason: "good night")
            let seen = try await inbound.waitClosed()
            #expect(seen == CloseReason(.peer, code: 42, isApplication: true, reason: "good night"))
        }
    }

    @Test func echoesOverLoopback() async throws {
        try await withKernelSockets(at: .v4Loopback) { server, client in
            let connection = try await client.connect(to: server.localAddresses[0], expecting: server.nodeID)
            let data = (0..<5_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
            #expect(try await exchange(connection, data) == data)
        }
    }
}

/// A client and an echoing server on one simulated network.
@NetworkActor
final class SimulatedPair {
    let client: Endpoint
    let server: Endpoint
    let serverAddress = SocketAddress(IPAddress(v4: 0x0a00_0001), port: 4001)
    let inbound = Waiter<Connection>()

    init(_ network: SimulatedNetwork, configuration: EndpointConfiguration = EndpointConfiguration()) throws {
        let clientAddress = SocketAddress(IPAddress(v4: 0x0a00_0002), port: 5000)
        server = try Endpoint(
            key: .generate(), driver: network.makeDriver(address: serverAddress), clock: network,
            configuration: configuration)
        client = try Endpoint(
            key: .generate(), driver: network.makeDriver(address: clientAddress), clock: network,
            configuration: configuration)
        server.onConnection = { [inbound] connection in
            serveEcho(connection)
            inbound.resume(returning: connection)
        }
        server.start()
        client.start()
    }

    func connect() async throws -> Connection {
        try await client.connect(to: serverAddress, expecting: server.nodeID)
    }
}

@NetworkActor
func serveEcho(_ connection: Connection) {
    connection.onStream = { stream in
        networkTask {
            while let chunk = try await stream.read() { try await stream.write(chunk) }
            stream.finish()
        }
    }
}

/// Sends `data` on a new stream and returns all that comes back.
@NetworkActor
func exchange(_ connection: Connection, _ data: [UInt8]) async throws -> [UInt8] {
    let stream = try await connection.openStream()
    let sender = networkTask {
        var offset = 0
        while offset < data.count {
            let end = min(offset + 100_000, data.count)
            try await stream.write(Chunk(data[offset..<end]))
            offset = end
        }
        stream.finish()
    }
    var result: [UInt8] = []
    while let chunk = try await stream.read() { result += chunk.array() }
    try await sender.value
    return result
}

@Suite(.serialized)
@NetworkActor
struct WildcardTests {
    /// Sockets bound to the wildcard see concrete local addresses on what they receive.
    @Test(arguments: [(IPAddress.v4Any, IPAddress.v4Loopback), (.v6Any, .v6Loopback)])
    func reachesAWildcardSocketFromAWildcardSocket(bound: IPAddress, dialled: IPAddress) async throws {
        try await withKernelSockets(at: bound) { server, client in
            let connection = try await client.connect(
                to: SocketAddress(dialled, port: server.localAddresses[0].port), expecting: server.nodeID)
            #expect(try await exchange(connection, [1, 2, 3]) == [1, 2, 3])
        }
    }
}
