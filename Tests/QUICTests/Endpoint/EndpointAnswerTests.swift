import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PQUIC

/// What an endpoint answers without a connection: Retry, version negotiation, refusals and resets.
@Suite(.serialized, .timeLimit(.minutes(1)))
@NetworkActor
struct EndpointAnswerTests {
    /// Sends raw datagrams from a third host and returns what comes back within a second.
    private func answers(to datagrams: [[UInt8]], of pair: TestPair) async throws -> [[UInt8]] {
        let probe = DatagramSocket(pair.network.makeDriver(address: host(9, port: 9_000)))
        defer { probe.close() }
        let replies = Box<[[UInt8]]>([])
        probe.onDatagram = { replies.value.append($0.bytes) }
        for datagram in datagrams { probe.send(datagram, to: pair.serverAddress) }
        try await pair.network.sleep(for: .seconds(1))
        return replies.value
    }

    @Test func negotiatesVersionsOnlyForDatagramsOfFullSize() async throws {
        // A long header of version 0x0a0a0a0a with two connection IDs of 8 bytes.
        let header: [UInt8] = [0xc0, 0x0a, 0x0a, 0x0a, 0x0a, 8, 1, 2, 3, 4, 5, 6, 7, 8, 8, 9, 9, 9, 9, 9, 9, 9, 9]
        try await withPair { pair, _ in
            let small = header + [UInt8](repeating: 0, count: 1_199 - header.count)
            #expect(try await answers(to: [small], of: pair).isEmpty)
            let replies = try await answers(to: [small + [0]], of: pair)
            let reply = try #require(replies.first)
            #expect(reply[0] & 0x80 != 0 && Array(reply[1..<5]) == [0, 0, 0, 0])
            // The IDs change places (RFC 9000 17.2.1).
            #expect(reply[5] == 8 && Array(reply[6..<14]) == Array(header[15..<23]))
            #expect(Array(reply[15..<23]) == Array(header[6..<14]))
            #expect(Array(reply.suffix(4)) == [0, 0, 0, 1])
            #expect(reply.count < 1_200)
        }
    }

    @Test func aDialOfAnotherVersionEndsWithVersionMismatch() async throws {
        let network = SimulatedWorld(seed: 4).network
        let pair = try TestPair(network)
        let other = DatagramSocket(network.makeDriver(address: host(3)))
        other.onDatagram = { [weak other] datagram in
            // The ID lengths of our Initials are 18 and 8; the server knows version 0x6b3343cf alone.
            let dcid = Array(datagram.bytes[6..<24])
            let scid = Array(datagram.bytes[25..<33])
            other?.send([0xff, 0, 0, 0, 0, 8] + scid + [18] + dcid + [0x6b, 0x33, 0x43, 0xcf], to: datagram.remote)
        }
        await network.run {
            let error = await failure { _ = try await pair.client.connect(to: host(3), expecting: nil) }
            #expect(error as? QUICError == QUICError(.versionMismatch, ""))
            #expect(network.now < NetworkInstant(nanoseconds: 2_000_000_000))
        }
        other.close()
    }

    @Test func answersUnknownPacketsWithSmallerResetsAndRarely() async throws {
        try await withPair { pair, network in
            for size in [20, 21] {
                #expect(try await answers(to: [[0x40] + pattern(size - 1)], of: pair).isEmpty, "\(size) bytes")
            }
            for size in [22, 29, 40, 41, 1_200] {
                let replies = try await answers(to: [[0x40] + pattern(size - 1)], of: pair)
                let reply = try #require(replies.first)
                #expect(reply.count < size && reply.count >= min(size - 1, 39) && reply[0] & 0xc0 == 0x40)
            }
            try await network.sleep(for: .seconds(10))
            let flood = (0..<500).map { [0x40] + pattern(99, seed: UInt64($0)) }
            #expect(try await answers(to: flood, of: pair).count == 100)
        }
    }

    /// A PING has 29 bytes; who has nothing else to say learns by it all the same.
    @Test func aRestartedServerResetsWhoOnlyAsksWhetherItIsThere() async throws {
        try await withPair { pair, network in
            let (connection, _) = try await pair.connectBoth()
            network.filter = { _, from, _ in from != pair.serverAddress }
            try pair.restartServer()
            network.filter = nil
            let start = network.now
            connection.nudge()
            #expect(try await connection.waitClosed().origin == .reset)
            #expect(network.now.duration(since: start) < .seconds(1))
        }
    }

    @Test func aRestartedServerResetsItsOldConnections() async throws {
        try await withPair { pair, network in
            let (connection, _) = try await pair.connectBoth()
            #expect(try await exchange(connection, pattern(2_000)) == pattern(2_000))
            network.filter = { _, from, _ in from != pair.serverAddress }
            try pair.restartServer()
            network.filter = nil
            let start = network.now
            let stream = try await connection.openStream()
            try await stream.write(Chunk(pattern(100)))
            #expect(try await connection.waitClosed().origin == .reset)
            #expect(network.now.duration(since: start) < .seconds(1))
            // Someone else's identity derives other tokens.
            let again = try await pair.connect()
            #expect(again.closeReason == nil)
        }
    }

    /// Two processes of one identity: the one that does not know a connection must not tell how to end the other's
    /// (RFC 9000 21.11, issue 7.23).
    @Test func anotherProcessOfTheIdentityGivesNoTokensAway() async throws {
        try await withPair { pair, network in
            let (connection, inbound) = try await pair.connectBoth()
            let address = host(7, port: 4002)
            let other = try Endpoint(
                key: pair.serverKey, driver: network.makeDriver(address: address), clock: network)
            other.onConnection = { _ in }
            other.start()
            defer { other.close() }
            var tokens: [[UInt8]] = []
            let stranger = host(9)
            network.filter = { bytes, from, to in
                if from == address, to == stranger { tokens.append(bytes) }
                return true
            }
            for id in inbound.connectionIDs where id.length == ConnectionID.ownLength {
                let seen = withUnsafeBytes(of: id.words.0) { Array($0) }
                network.send([0x40] + seen + pattern(50), from: stranger, to: address, ecn: 0)
            }
            try await network.sleep(for: .seconds(1))
            #expect(!tokens.isEmpty)
            for token in tokens { network.send(token, from: pair.serverAddress, to: pair.clientAddress, ecn: 0) }
            try await network.sleep(for: .seconds(1))
            #expect(connection.closeReason == nil)
            let echo = try await exchange(connection, [1, 2, 3])
            #expect(echo == [1, 2, 3])
        }
    }

    @Test func resetSecretsDifferByMachineAndByAddress() {
        let key = IdentityKey.generate()
        let wildcard = [SocketAddress(.v4Any, port: 4001), SocketAddress(.v6Any, port: 4001)]
        let secret = Endpoint.resetSecret(key, scope: [1], addresses: wildcard)
        #expect(secret == Endpoint.resetSecret(key, scope: [1], addresses: wildcard.reversed()))
        #expect(secret != Endpoint.resetSecret(key, scope: [2], addresses: wildcard))
        #expect(secret != Endpoint.resetSecret(key, scope: [1], addresses: [SocketAddress(.v4Any, port: 4002)]))
        #expect(secret != Endpoint.resetSecret(.generate(), scope: [1], addresses: wildcard))
    }

    @Test func aForgedResetEndsNothing() async throws {
        try await withPair { pair, network in
            let (connection, _) = try await pair.connectBoth()
            for round in 0..<50 {
                network.send(
                    [0x40] + pattern(42, seed: UInt64(round)), from: pair.serverAddress, to: pair.clientAddress, ecn: 0)
            }
            try await network.sleep(for: .seconds(1))
            #expect(connection.closeReason == nil)
            #expect(try await exchange(connection, [1, 2, 3]) == [1, 2, 3])
        }
    }

    @Test func asksForProofOfAddressUnderLoad() async throws {
        var configuration = EndpointConfiguration()
        configuration.retryThreshold = 0
        try await withPair(server: configuration) { pair, network in
            let retries = Box(0)
            network.filter = { bytes, from, _ in
                if from == pair.serverAddress, bytes[0] & 0xf0 == 0xf0 { retries.value += 1 }
                return true
            }
            let connection = try await pair.connect()
            #expect(retries.value == 1)
            #expect(try await exchange(connection, pattern(5_000)) == pattern(5_000))
        }
    }

    @Test func keepsNoStateBeforeTheProof() async throws {
        var configuration = EndpointConfiguration()
        configuration.retryThreshold = 0
        try await withPair(server: configuration) { pair, network in
            network.filter = { _, from, _ in from != pair.serverAddress }  // a spoofed source never sees the Retry
            let dials = (0..<20).map { _ in networkTask { try await pair.connect() } }
            try await network.sleep(for: .seconds(1))
            #expect(pair.server.connections.isEmpty && pair.server.handshakes.isEmpty)
            for dial in dials { dial.cancel() }
            for dial in dials { _ = await dial.result }
        }
    }

    @Test func refusesATokenFromElsewhereAtOnce() async throws {
        var configuration = EndpointConfiguration()
        configuration.retryThreshold = 0
        try await withPair(server: configuration) { pair, network in
            // The token was made for another endpoint's secret: the server restarts between Retry and answer.
            let restarted = Box(false)
            network.filter = { bytes, from, _ in
                guard from == pair.serverAddress, bytes[0] & 0xf0 == 0xf0, !restarted.value else { return true }
                restarted.value = true
                _ = network.schedule(after: .milliseconds(1)) {
                    do { try pair.restartServer() } catch { Issue.record(error) }
                }
                return true
            }
            let start = network.now
            let error = await failure { _ = try await pair.connect() }
            let quic = try #require(error as? QUICError)
            #expect(quic.code == .closedByPeer && quic.message.contains("token"))
            #expect(network.now.duration(since: start) < .seconds(1))
        }
    }

    @Test func refusesAnExpiredToken() async throws {
        var configuration = EndpointConfiguration()
        configuration.retryThreshold = 0
        var client = EndpointConfiguration()
        client.handshakeTimeout = .seconds(60)
        client.idleTimeout = .seconds(60)
        try await withPair(server: configuration, client: client) { pair, network in
            // What the client sends with its token is held back until the token is too old.
            let initials = Box(0)
            network.filter = { bytes, from, _ in
                guard from == pair.clientAddress, bytes[0] & 0xf0 == 0xc0 else { return true }
                initials.value += 1
                return initials.value == 1 || network.now > NetworkInstant(nanoseconds: 15_000_000_000)
            }
            let error = await failure { _ = try await pair.connect() }
            #expect((error as? QUICError)?.message.contains("token") == true)
            #expect(pair.server.connections.isEmpty)
        }
    }
}
