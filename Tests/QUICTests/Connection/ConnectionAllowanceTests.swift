import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PQUIC

/// What a connection that the peer made may fill, before and after it is promoted.
@Suite(.serialized, .timeLimit(.minutes(1)))
@NetworkActor
struct ConnectionAllowanceTests {
    private static let small = ConnectionAllowance(streams: 2, window: 20_000, maxWindow: 20_000)

    private func withSmallServer(
        _ body: @NetworkActor @Sendable (Connection, Connection, SimulatedNetwork) async throws -> Void
    ) async throws {
        var configuration = EndpointConfiguration()
        configuration.inboundAllowance = Self.small
        try await withPair(server: configuration) { pair, network in
            let (client, server) = try await pair.connectBoth()
            #expect(server.allowance == Self.small && client.allowance == configuration.allowance)
            try await body(client, server, network)
        }
    }

    /// Opens streams until the peer grants no more.
    private func openAll(_ connection: Connection) async throws -> Int {
        var count = connection.streams.count
        while true {
            let opening = networkTask { try await connection.openStream() }
            await settle()
            guard connection.streams.count > count else {
                opening.cancel()
                _ = await opening.result
                return count
            }
            count += 1
        }
    }

    @Test func aPeerFillsNoMoreThanItsAllowance() async throws {
        try await withSmallServer { client, server, network in
            server.onStream = { _ in }
            let streams = [try await client.openStream(), try await client.openStream()]
            let writing = streams.map { stream in networkTask { try await stream.write(Chunk(pattern(1_900_000))) } }
            try await network.sleep(for: .seconds(5))
            #expect(streams.reduce(0) { $0 + $1.sending.sent } == 20_000)
            let opened = try await openAll(client)
            #expect(opened == 2)
            client.close(code: 0)
            for task in writing { _ = await task.result }
        }
    }

    /// A stream that was fast may leave one byte behind, and so may the next: that is kept in little.
    @Test func whatIsUnreadTakesTwiceTheWindowAtMost() async throws {
        let (streams, window) = (40, 100_000)
        var configuration = EndpointConfiguration()
        configuration.inboundAllowance = ConnectionAllowance(
            streams: streams, window: UInt64(window), maxWindow: UInt64(window))
        try await withPair(server: configuration) { pair, network in
            let (client, server) = try await pair.connectBoth()
            let arrived = Box<[QUICStream]>([])
            server.onStream = { arrived.value.append($0) }
            for number in 0..<streams {
                let stream = try await client.openStream()
                try await stream.write(Chunk(pattern(90_000)))
                try await network.sleep(for: .milliseconds(500))
                var left = 90_000
                while left > 0, let chunk = try await arrived.value[number].read() { left -= chunk.count }
                try await stream.write(Chunk([1]))
                try await network.sleep(for: .milliseconds(500))
                #expect(server.receiveMemory >= number + 1)
                #expect(server.receiveMemory <= 2 * window + streams * ReceiveBuffer.firstChunk)
            }
            for stream in arrived.value {
                let chunk = try await stream.read()
                #expect(chunk?.count == 1 && (chunk?.capacity ?? 0) <= ReceiveBuffer.firstChunk)
            }
            #expect(server.receiveMemory == 0)
        }
    }

    /// However fast the application reads, the window stays within the allowance.
    @Test func readingFastDoesNotRaiseIt() async throws {
        try await withSmallServer { client, server, _ in
            let echo = try await exchange(client, pattern(600_000))
            #expect(echo == pattern(600_000))
            #expect(server.receiveWindow.size == 20_000)
        }
    }

    @Test func aPromotedPeerHasItAll() async throws {
        try await withSmallServer { client, server, network in
            server.onStream = { _ in }
            let all = EndpointConfiguration().allowance
            let stuck = try await client.openStream()
            let writing = networkTask { for _ in 0..<40 { try await stuck.write(Chunk(pattern(100_000))) } }
            try await network.sleep(for: .seconds(2))
            #expect(stuck.sending.sent == 20_000)
            server.promote()
            #expect(server.allowance == all)
            try await network.sleep(for: .seconds(2))
            #expect(stuck.sending.sent == EndpointConfiguration().streamWindow)
            let other = try await client.openStream()
            let more = networkTask { for _ in 0..<40 { try await other.write(Chunk(pattern(100_000))) } }
            try await network.sleep(for: .seconds(2))
            let third = try await client.openStream()
            let rest = networkTask { for _ in 0..<40 { try await third.write(Chunk(pattern(100_000))) } }
            try await network.sleep(for: .seconds(2))
            #expect(stuck.sending.sent + other.sending.sent + third.sending.sent == all.window)
            let opened = try await openAll(client)
            #expect(opened == all.streams)
            client.close(code: 0)
            for task in [writing, more, rest] { _ = await task.result }
        }
    }

    @Test func theWindowGrowsToItsBoundAndNoFurther() async throws {
        var configuration = EndpointConfiguration()
        configuration.inboundAllowance = Self.small
        configuration.connectionWindow = 40_000
        configuration.maxConnectionWindow = 300_000
        try await withPair(server: configuration) { pair, _ in
            let (client, server) = try await pair.connectBoth()
            server.promote()
            #expect(try await exchange(client, pattern(3_000_000)) == pattern(3_000_000))
            #expect(server.receiveWindow.size == 300_000)
        }
    }

    @Test func promotionNeverTakesAnythingBack() async throws {
        try await withSmallServer { client, server, network in
            server.promote()
            server.promote(to: Self.small)
            server.promote()
            #expect(server.allowance == EndpointConfiguration().allowance)
            try await network.sleep(for: .seconds(1))
            server.onStream = { _ in }
            let opened = try await openAll(client)
            #expect(opened == server.allowance.streams)
            server.close(code: 0)
            server.promote()
        }
    }
}
