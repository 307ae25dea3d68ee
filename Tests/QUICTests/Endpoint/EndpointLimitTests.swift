import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PQUIC

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

    @Test func boundsHandshakesUnderWayInAllAndPerSubject() async throws {
        var configuration = EndpointConfiguration()
        configuration.maxHandshakes = 10
        configuration.maxHandshakesPerSubject = 4
        configuration.retryThreshold = 3
        configuration.retryThresholdPerSubject = 2
        configuration.handshakeTimeout = .seconds(3)
        try await withPair(server: configuration) { pair, network in
            // Clients that prove their address and then see no more answers: their handshakes stay open at the server.
            network.filter = { bytes, from, to in
                from != pair.serverAddress || bytes[0] & 0xf0 == 0xf0 || to == pair.clientAddress
            }
            var clients: [Endpoint] = []
            var dials: [Task<Connection, any Error>] = []
            for number in 0..<4 {
                let client = try pair.makeClient(20 + UInt32(number))
                clients.append(client)
                for _ in 0..<8 {
                    dials.append(
                        networkTask { try await client.connect(to: pair.serverAddress, expecting: nil) })
                }
                try await network.sleep(for: .milliseconds(300))
                #expect((1...4).contains(pair.server.handshakes.count(of: Subject(host(20 + UInt32(number)).ip))))
                #expect(pair.server.handshakes.count <= 10)
            }
            #expect(pair.server.handshakes.count == 10)
            // Whoever is behind a full table still gets in.
            _ = try await pair.connect()
            for client in clients { client.close() }
            for dial in dials { _ = await dial.result }
            // They end by themselves and make room.
            try await network.sleep(for: .seconds(10))
            #expect(pair.server.handshakes.isEmpty)
            #expect(pair.server.connections.count == 1)
        }
    }

    /// Issue 7.10: 520 half-open handshakes of one /64 blocked everyone. These have invented their addresses, and not
    /// even their neighbours are kept out.
    @Test func inventedAddressesKeepNobodyOut() async throws {
        try await withPair { pair, network in
            let forged = Box<UInt64>(0)
            let forger = try pair.makeClient(60)
            network.filter = { bytes, from, to in
                guard from == host(60, port: 5_000) else { return true }
                forged.value += 1
                let source = IPAddress(v6High: 0x2001_0db8_0000_0001, low: 1_000 + forged.value)
                network.send(bytes, from: SocketAddress(source, port: 5_000), to: to, ecn: 0)
                return false
            }
            let dials = (0..<520).map { _ in
                networkTask { try await forger.connect(to: pair.serverAddress, expecting: nil) }
            }
            try await network.sleep(for: .milliseconds(200))
            #expect(forged.value >= 520)
            #expect(pair.server.handshakes.count <= pair.server.configuration.retryThresholdPerSubject)
            let neighbour = SocketAddress(IPAddress(v6High: 0x2001_0db8_0000_0001, low: 7), port: 5_000)
            let client = try Endpoint(key: .generate(), driver: network.makeDriver(address: neighbour), clock: network)
            client.start()
            _ = try await client.connect(to: pair.serverAddress, from: neighbour, expecting: pair.server.nodeID)
            _ = try await pair.connect()
            forger.close()
            client.close()
            for dial in dials { _ = await dial.result }
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
