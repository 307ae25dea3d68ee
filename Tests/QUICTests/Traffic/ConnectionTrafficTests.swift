import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PQUIC

/// What goes over a connection is counted to the byte, at both ends alike.
@Suite(.serialized, .timeLimit(.minutes(2)))
@NetworkActor
struct ConnectionTrafficTests {
    /// Sends `count` bytes to the echo and reads them all back.
    private func echo(_ count: Int, over connection: Connection, for tally: TrafficTally? = nil) async throws {
        let stream = try await connection.openStream()
        if let tally { stream.count(for: tally) }
        try await stream.write(Chunk(pattern(count)))
        stream.finish()
        var left = count
        while let chunk = try await stream.read() { left -= chunk.count }
        #expect(left == 0)
    }

    private func payload(_ connection: Connection) -> ByteTotals {
        connection.settleStreams()
        return connection.traffic.total.payload
    }

    @Test func payloadIsTheBytesOfStreamsWhateverIsLost() async throws {
        try await withPair(seed: 31) { pair, network in
            network.link.loss = 0.05
            let (client, server) = try await pair.connectBoth()
            let sizes = [0, 1, 1_000, 65_537, 700_000]
            let tally = TrafficTally()
            for size in sizes { try await echo(size, over: client, for: tally) }
            let total = UInt64(sizes.reduce(0, +))
            #expect(payload(client) == ByteTotals(sent: total, received: total))
            #expect(tally.total == payload(client) && tally[.direct] == tally.total)
            // Streams that nobody gave a tally count for the connection once they have ended.
            try await network.sleep(for: .seconds(2))
            #expect(payload(server) == ByteTotals(sent: total, received: total))
            #expect(client.traffic.total.wire.sent > total)
            // What was lost on the way was sent all the same.
            #expect(client.traffic.total.wire.sent > server.traffic.total.wire.received)
        }
    }

    @Test func theWireIsTheSameAtBothEndsWhereNothingIsLost() async throws {
        try await withPair(seed: 32) { pair, network in
            let (client, server) = try await pair.connectBoth()
            try await echo(300_000, over: client)
            try await network.sleep(for: .milliseconds(500))
            let lane = ConnectionTraffic.Lane(.direct, .v4)
            #expect(client.traffic.wire(lane) == ByteTotals(sent: client.bytesSent, received: client.bytesReceived))
            #expect(client.traffic.total.wire == client.traffic.wire(lane))
            client.close(code: 7, reason: "done")
            _ = try await server.waitClosed()
            #expect(client.traffic.total.wire.sent == server.traffic.total.wire.received)
            #expect(client.traffic.total.wire.received == server.traffic.total.wire.sent)
            let (near, far) = (pair.client.traffic.total, pair.server.traffic.total)
            #expect(near.wire.sent == far.wire.received && near.payload.sent == far.payload.received)
            #expect(near.payload.sent == 300_000)
        }
    }

    @Test func anOpenStreamCountsWhenAskedAndOnce() async throws {
        try await withPair(seed: 33) { pair, _ in
            let connection = try await pair.connect()
            let (tally, stream) = (TrafficTally(), try await connection.openStream())
            try await stream.write(Chunk(pattern(100)))
            _ = try await stream.read()
            // It speaks no protocol yet.
            #expect(payload(connection) == .zero)
            stream.count(for: tally)
            #expect(payload(connection) == ByteTotals(sent: 100, received: 100))
            #expect(payload(connection) == ByteTotals(sent: 100, received: 100))
            try await stream.write(Chunk(pattern(50)))
            _ = try await stream.read()
            connection.close(code: 0)
            #expect(tally.total == ByteTotals(sent: 150, received: 150))
            #expect(connection.traffic.total.payload == tally.total)
        }
    }

    @Test func aStreamWithoutAProtocolCountsAsNameless() async throws {
        try await withPair(seed: 34) { pair, _ in
            let connection = try await pair.connect()
            let tally = TrafficTally()
            connection.namelessTally = tally
            let stream = try await connection.openStream()
            try await stream.write(Chunk(pattern(9)))
            _ = try await stream.read()
            connection.close(code: 0)
            #expect(tally.total == ByteTotals(sent: 9, received: 9))
        }
    }

    @Test func aHandshakeThatComesToNothingCountsForTheEndpoint() async throws {
        try await withPair(seed: 35) { pair, network in
            network.link.loss = 1
            let before = pair.client.traffic.total.wire.sent
            let target = pair.serverAddress
            let error = await failure { _ = try await pair.client.connect(to: target, expecting: nil) }
            #expect(error != nil)
            #expect(pair.client.traffic.total.wire.sent >= before + 1_200)
            #expect(pair.client.traffic.total.wire.received == 0)
        }
    }
}
