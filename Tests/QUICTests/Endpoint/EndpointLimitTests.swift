import Identity
import Testing

@testable import QUIC

/// Each limit of an endpoint, filled.
@Suite(.serialized, .timeLimit(.minutes(1)))
@NetworkActor
struct EndpointLimitTests {
    @Test func refusesConnectionsBeyondTheMost() async throws {
        var configuration = EndpointConfiguration()
        configuration.maxConnections = 3
        try await withPair(server: configuration) { pair, network in
            var held: [Connection] = []
            for _ in 0..<3 { held.append(try await pair.connect()) }
            let start = network.now
            let error = await failure { _ = try await pair.connect() }
            let quic = try #require(error as? QUICError)
            #expect(quic.code == .closedByPeer && quic.message.contains("accepts no more connections"))
            #expect(network.now.duration(since: start) < .seconds(1))
            held[0].close(code: 0)
            try await network.sleep(for: .seconds(1))
            _ = try await pair.connect()
        }
    }

    @Test func dialsNoMoreThanItHolds() async throws {
        var configuration = EndpointConfiguration()
        configuration.maxConnections = 1
        try await withPair(client: configuration) { pair, _ in
            _ = try await pair.connect()
            let error = await failure { _ = try await pair.connect() }
            let quic = try #require(error as? QUICError)
            #expect(quic.code == .limit && quic.message.contains("1 connections"))
        }
    }

    @Test func boundsHandshakesUnderWayInAllAndPerAddress() async throws {
        var configuration = EndpointConfiguration()
        configuration.maxHandshakes = 10
        configuration.maxHandshakesPerAddress = 4
        configuration.handshakeTimeout = .seconds(3)
        try await withPair(server: configuration) { pair, network in
            // Clients that never see an answer: their handshakes stay open at the server.
            network.filter = { _, from, _ in from != pair.serverAddress }
            var clients: [Endpoint] = []
            var dials: [Task<Connection, any Error>] = []
            for number in 0..<4 {
                let client = try pair.makeClient(20 + UInt32(number))
                clients.append(client)
                for _ in 0..<6 {
                    dials.append(
                        networkTask { try await client.connect(to: pair.serverAddress, expecting: nil) })
                }
                try await network.sleep(for: .milliseconds(100))
                #expect(pair.server.handshakesPerAddress[host(20 + UInt32(number)).ip, default: 0] <= 4)
                #expect(pair.server.handshakes.count <= min(10, 4 * (number + 1)))
            }
            #expect(pair.server.handshakes.count == 10)
            for client in clients { client.close() }
            for dial in dials { _ = await dial.result }
            // They end by themselves and make room.
            try await network.sleep(for: .seconds(10))
            #expect(pair.server.handshakes.isEmpty && pair.server.handshakesPerAddress.isEmpty)
            #expect(pair.server.connections.isEmpty)
            network.filter = nil
            _ = try await pair.connect()
        }
    }

    @Test func aSilentPeerEndsTheDialInTime() async throws {
        var configuration = EndpointConfiguration()
        configuration.handshakeTimeout = .seconds(5)
        try await withPair(client: configuration) { pair, network in
            let start = network.now
            let error = await failure { _ = try await pair.client.connect(to: host(77), expecting: nil) }
            #expect(error as? QUICError == QUICError(.timeout, ""))
            let elapsed = network.now.duration(since: start)
            #expect(elapsed >= .seconds(5) && elapsed < .seconds(7))
            #expect(pair.client.connections.isEmpty)
        }
    }

    @Test func aCancelledDialLeavesNothingBehind() async throws {
        try await withPair { pair, network in
            for target in [host(77), pair.serverAddress] {
                let dial = networkTask { try await pair.client.connect(to: target, expecting: nil) }
                try await network.sleep(for: .milliseconds(30))
                dial.cancel()
                let error = await failure { _ = try await dial.value }
                #expect(error as? QUICError == QUICError(.cancelled, ""))
                try await network.sleep(for: .seconds(15))
                #expect(pair.client.connections.isEmpty && pair.client.lingering.isEmpty)
                #expect(pair.server.connections.isEmpty && pair.server.lingering.isEmpty)
            }
        }
    }

    @Test func closesWhatNobodyAccepts() async throws {
        try await withPair { pair, network in
            pair.server.onConnection = nil
            let error = await failure { _ = try await pair.connect() }
            #expect(error as? QUICError == QUICError(.timeout, ""))
            #expect(pair.server.connections.isEmpty)
        }
    }
}
