import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PQUIC

/// What has come of all connections and waits in memory.
@Suite(.serialized, .timeLimit(.minutes(1)))
@NetworkActor
struct EndpointMemoryTests {
    /// Dials, and fills what the server grants; nobody there reads.
    private func fill(_ client: Endpoint, _ pair: TestPair, bytes: Int) async throws -> Connection {
        let connection = try await client.connect(to: pair.serverAddress, expecting: pair.server.nodeID)
        for _ in 0..<2 {
            let stream = try await connection.openStream()
            networkTask { _ = await failure { try await stream.write(Chunk(pattern(bytes / 2))) } }
        }
        return connection
    }

    @Test func whoFillsTheMemoryLosesAConnection() async throws {
        var configuration = EndpointConfiguration()
        configuration.limitCloseCode = 77
        try await withPair(server: configuration) { pair, network in
            pair.server.maxReceiveMemory = 5 << 20
            let unread = Box<[QUICStream]>([])
            pair.server.onConnection = { connection in connection.onStream = { unread.value.append($0) } }
            let other = try pair.makeClient(30)
            let honest = try await fill(pair.client, pair, bytes: 900_000)
            var filling: [Connection] = []
            for _ in 0..<4 {
                filling.append(try await fill(other, pair, bytes: 2 << 20))
                try await network.sleep(for: .seconds(2))
                #expect(pair.server.heldMemory <= pair.server.maxReceiveMemory)
            }
            #expect(honest.closeReason == nil)
            let closed = filling.compactMap(\.closeReason)
            #expect(!closed.isEmpty && closed.count < filling.count && closed.allSatisfy { $0.code == 77 })
            #expect(closed.allSatisfy { $0.reason.contains("wait in memory") })
            other.close()
            pair.client.close()
            try await network.sleep(for: .seconds(1))
            #expect(pair.server.connections.isEmpty && pair.server.heldMemory == 0)
        }
    }

    /// What was read counts no more, however much it was.
    @Test func whatIsReadFillsNothing() async throws {
        try await withPair { pair, network in
            pair.server.maxReceiveMemory = 5 << 20
            let (client, server) = try await pair.connectBoth()
            for _ in 0..<8 {
                let bytes = pattern(2 << 20)
                #expect(try await exchange(client, bytes) == bytes)
            }
            #expect(server.closeReason == nil && client.closeReason == nil)
        }
    }

    /// What readers keep until it is whole counts as unread, until they have it or give up.
    @Test func whatReadersKeepCounts() async throws {
        try await withPair { pair, network in
            let (client, server) = try await pair.connectBoth()
            let accepted = Box<[QUICStream]>([])
            server.onStream = { accepted.value.append($0) }
            for _ in 0..<2 { try await client.openStream().write(Chunk([1])) }
            try await network.sleep(for: .seconds(1))
            let streams = accepted.value
            try #require(streams.count == 2)
            let before = server.heldMemory
            streams[0].keeps(3_000_000)
            streams[1].keeps(1_000_000)
            streams[0].keeps(2_000_000)
            #expect(server.heldMemory == before + 3_000_000)
            streams[0].keeps(0)
            streams[1].reset(0)
            streams[1].keeps(5_000)
            #expect(server.keptMemory == 0)
        }
    }
}
