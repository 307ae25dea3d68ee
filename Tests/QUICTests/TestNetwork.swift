import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PQUIC

/// Addresses of hosts on simulated networks.
func host(_ number: UInt32, port: UInt16 = 4001) -> SocketAddress {
    SocketAddress(IPAddress(v4: 0x0a00_0000 + number), port: port)
}

/// `count` bytes that differ along the way, cheap to make in a debug build.
func pattern(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
    var random = SplitMix64(seed: seed)
    return [UInt8](unsafeUninitializedCapacity: count) { buffer, length in
        let raw = UnsafeMutableRawBufferPointer(buffer)
        var offset = 0
        while offset < count {
            withUnsafeBytes(of: random.next()) { word in
                let size = min(8, count - offset)
                UnsafeMutableRawBufferPointer(rebasing: raw[offset..<offset + size])
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: word[..<size]))
            }
            offset += 8
        }
        length = count
    }
}

/// A server at host 1 and a client at host 2 of one simulated network, with inbound connections collected.
@NetworkActor
final class TestPair {
    let network: SimulatedNetwork
    let client: Endpoint
    var server: Endpoint
    let serverKey: IdentityKey
    let clientKey = IdentityKey.generate()
    let serverAddress = host(1)
    let clientAddress = host(2, port: 5000)
    private(set) var inbound: [Connection] = []
    private var arrival = Waiter<Void>()

    init(
        _ network: SimulatedNetwork, server: EndpointConfiguration = EndpointConfiguration(),
        client: EndpointConfiguration = EndpointConfiguration()
    ) throws {
        self.network = network
        serverKey = .generate()
        self.client = try Endpoint(
            key: clientKey, driver: network.makeDriver(address: clientAddress), clock: network, configuration: client)
        self.server = try Endpoint(
            key: serverKey, driver: network.makeDriver(address: serverAddress), clock: network, configuration: server)
        self.client.start()
        listen()
    }

    /// Serves an echo on every inbound stream.
    private func listen() {
        server.onConnection = { [weak self] connection in
            serveEcho(connection)
            self?.inbound.append(connection)
            self?.arrival.resume(returning: ())
        }
        server.start()
    }

    /// The server's process ends without a word and starts again with the same identity.
    func restartServer() throws {
        let old = server
        server = try Endpoint(
            key: serverKey, driver: network.makeDriver(address: serverAddress), clock: network,
            configuration: old.configuration)
        for connection in inbound { connection.finish(CloseReason(.local)) }
        inbound.removeAll()
        listen()
    }

    func makeClient(_ number: UInt32, port: UInt16 = 5000, key: IdentityKey = .generate()) throws -> Endpoint {
        let endpoint = try Endpoint(
            key: key, driver: network.makeDriver(address: host(number, port: port)), clock: network)
        endpoint.start()
        return endpoint
    }

    func connect() async throws -> Connection {
        try await client.connect(to: serverAddress, expecting: server.nodeID)
    }

    /// Both ends of a new connection.
    func connectBoth() async throws -> (client: Connection, server: Connection) {
        arrival = Waiter<Void>()
        let connection = try await connect()
        try await arrival.value()
        guard let other = inbound.last else { throw QUICError(.internalError, "nothing arrived") }
        return (connection, other)
    }
}

/// Runs `body` with a pair on a network of its own, and closes both ends after it.
@NetworkActor
func withPair(
    seed: UInt64 = 1, server: EndpointConfiguration = EndpointConfiguration(),
    client: EndpointConfiguration = EndpointConfiguration(),
    _ body: @NetworkActor @Sendable (TestPair, SimulatedNetwork) async throws -> Void
) async throws {
    let world = SimulatedWorld(seed: seed)
    let network = world.network
    var (server, client) = (server, client)
    server.random = world.randomSource()
    client.random = world.randomSource()
    let pair = try TestPair(network, server: server, client: client)
    defer {
        pair.client.close()
        pair.server.close()
    }
    try await network.run { try await body(pair, network) }
}

/// Runs `body` with a server that echoes and a client, each at a socket of the kernel's, and closes both after it.
@NetworkActor
func withKernelSockets(
    at ip: IPAddress = .v4Any, _ body: @NetworkActor (_ server: Endpoint, _ client: Endpoint) async throws -> Void
) async throws {
    let server = try Endpoint(key: .generate(), driver: try UDPDriver(bind: [SocketAddress(ip, port: 0)]))
    let client = try Endpoint(key: .generate(), driver: try UDPDriver(bind: [SocketAddress(ip, port: 0)]))
    server.onConnection = { serveEcho($0) }
    server.start()
    client.start()
    defer {
        client.close()
        server.close()
    }
    try await body(server, client)
}
