import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import Testing

@testable import DeP2PQUIC

/// What has ended is released: no cycle keeps a connection, stream or endpoint.
@Suite(.serialized, .timeLimit(.minutes(1)))
@NetworkActor
struct LeakTests {
    private final class Watch {
        weak var client: Connection?
        weak var server: Connection?
        weak var stream: QUICStream?
        weak var endpoint: Endpoint?
        weak var driver: SimulatedDriver?
    }

    @Test func aClosedConnectionIsReleasedWithItsStreams() async throws {
        let watch = Watch()
        let network = SimulatedWorld(seed: 1).network
        let pair = try SimulatedPair(network)
        try await network.run {
            try await use(pair, watch)
            try await network.sleep(for: .seconds(30))
        }
        pair.inbound.resume(throwing: CancellationError())
        #expect(watch.client == nil && watch.stream == nil)
        pair.client.close()
        pair.server.close()
    }

    private func use(_ pair: SimulatedPair, _ watch: Watch) async throws {
        let connection = try await pair.connect()
        watch.client = connection
        _ = try await exchange(connection, [1, 2, 3])
        let stream = try await connection.openStream()
        try await stream.write(Chunk([1]))
        watch.stream = stream
        #expect(watch.client != nil && watch.stream != nil)
        connection.close(code: 0)
    }

    @Test func anEndpointIsReleasedAfterItsClose() async throws {
        let watch = Watch()
        let network = SimulatedWorld(seed: 2).network
        try await network.run {
            try await live(network, watch)
            try await network.sleep(for: .seconds(30))
        }
        #expect(watch.endpoint == nil && watch.client == nil && watch.server == nil && watch.driver == nil)
    }

    private func live(_ network: SimulatedNetwork, _ watch: Watch) async throws {
        let driver = network.makeDriver(address: host(1))
        let server = try Endpoint(key: .generate(), driver: driver, clock: network)
        let client = try Endpoint(key: .generate(), driver: network.makeDriver(address: host(2)), clock: network)
        server.onConnection = {
            watch.server = $0
            serveEcho($0)
        }
        server.start()
        client.start()
        let connection = try await client.connect(to: host(1), expecting: nil)
        _ = try await exchange(connection, [1])
        watch.endpoint = server
        watch.driver = driver
        watch.client = connection
        server.close()
        client.close()
    }

    @Test func failedDialsAreReleased() async throws {
        let watch = Watch()
        try await withPair { pair, network in
            let dial = networkTask { try await pair.client.connect(to: host(50), expecting: nil) }
            try await network.sleep(for: .milliseconds(10))
            watch.client = pair.client.connections.values.first
            #expect(watch.client != nil)
            _ = await dial.result
            try await network.sleep(for: .seconds(5))
            #expect(watch.client == nil)
        }
    }
}
