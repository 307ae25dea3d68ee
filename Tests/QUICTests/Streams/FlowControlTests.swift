import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PQUIC

/// Credit for streams and bytes: bounded, returned, and not lost to anyone who gives up.
@Suite(.serialized, .timeLimit(.minutes(1)))
@NetworkActor
struct FlowControlTests {
    @Test func tenThousandStreamsOneAfterAnother() async throws {
        try await withPair { pair, network in
            network.link.latency = .microseconds(100)
            let (client, server) = try await pair.connectBoth()
            for round in 0..<10_000 {
                let stream = try await client.openStream()
                try await stream.write(Chunk([UInt8(round & 0xff)]))
                stream.finish()
                let chunk = try await stream.read()
                guard chunk?[0] == UInt8(round & 0xff) else {
                    Issue.record("stream \(round) echoed \(chunk?.array() ?? [])")
                    return
                }
                _ = try await stream.read()
            }
            try await network.sleep(for: .seconds(1))
            #expect(client.streams.isEmpty && server.streams.isEmpty)
            #expect(client.sendQueue.isEmpty && server.sendQueue.isEmpty && client.streamCreditWaiters.isEmpty)
            // All credit is back: the whole allowance opens at once.
            for _ in 0..<EndpointConfiguration().maxStreams { _ = try await client.openStream() }
        }
    }

    @Test func tenThousandStreamsSixtyFourAtOnce() async throws {
        var configuration = EndpointConfiguration()
        configuration.maxStreams = 64
        try await withPair(server: configuration) { pair, network in
            network.link.latency = .milliseconds(1)
            let (client, server) = try await pair.connectBoth()
            let most = Box(0)
            let workers = (0..<80).map { worker in
                networkTask {
                    for _ in 0..<125 {
                        let reply = try await exchange(client, [UInt8(worker), 1, 2])
                        guard reply == [UInt8(worker), 1, 2] else { throw StreamError(.alreadyClosed) }
                        most.value = max(most.value, server.streams.count)
                    }
                }
            }
            for worker in workers { try await worker.value }
            #expect(most.value <= 64)
            try await network.sleep(for: .seconds(1))
            #expect(client.streams.isEmpty && server.streams.isEmpty && client.streamCreditWaiters.isEmpty)
        }
    }

    /// The index of the first of so many tasks, each with a stream of its own to write, that finds something sent.
    private func firstThatFindsSomethingSent(of count: Int) async throws -> Int? {
        let found = Box<Int?>(nil)
        try await withPair { pair, network in
            let connection = try await pair.connect()
            try await network.sleep(for: .seconds(1))
            let before = connection.bytesSent
            let tasks = (0..<count).map { index in
                networkTask {
                    if found.value == nil, connection.bytesSent > before { found.value = index }
                    let stream = try await connection.openStream()
                    try await stream.write(Chunk(pattern(1_000)))
                    stream.finish()
                }
            }
            for task in tasks { try await task.value }
        }
        return found.value
    }

    @Test func manyStreamsAreSentBeforeAllHaveWritten() async throws {
        #expect(try await firstThatFindsSomethingSent(of: 32) == 8)
        #expect(try await firstThatFindsSomethingSent(of: 8) == nil, "a few go together")
    }

    @Test func openingWaitsAtTheLimitAndGoesOn() async throws {
        var configuration = EndpointConfiguration()
        configuration.maxStreams = 2
        try await withPair(server: configuration) { pair, network in
            let connection = try await pair.connect()
            let first = try await connection.openStream()
            _ = try await connection.openStream()
            let third = networkTask { try await connection.openStream() }
            try await network.sleep(for: .seconds(60))
            #expect(connection.streams.count == 2)
            first.finish()
            _ = try await first.read()
            #expect(try await third.value.id == 8)
        }
    }

    @Test func openingGivesUpAtItsDeadline() async throws {
        var configuration = EndpointConfiguration()
        configuration.maxStreams = 1
        try await withPair(server: configuration) { pair, network in
            let connection = try await pair.connect()
            let first = try await connection.openStream(within: .seconds(5))
            let start = network.now
            let late = await failure { _ = try await connection.openStream(within: .seconds(5)) }
            #expect(late as? DeadlineExceeded == DeadlineExceeded(duration: .seconds(5)))
            #expect(network.now.duration(since: start) == .seconds(5))
            #expect(connection.streamCreditWaiters.isEmpty)
            let next = networkTask { try await connection.openStream(within: .seconds(5)) }
            try await network.sleep(for: .seconds(1))
            first.finish()
            _ = try await first.read()
            #expect(try await next.value.id == 4)
        }
    }

    @Test func waitersThatGiveUpEatNoCredit() async throws {
        var configuration = EndpointConfiguration()
        configuration.maxStreams = 1
        try await withPair(server: configuration) { pair, network in
            let connection = try await pair.connect()
            let first = try await connection.openStream()
            let waits = (0..<100).map { _ in networkTask { _ = try await connection.openStream() } }
            await settle()
            for wait in waits { wait.cancel() }
            for wait in waits { #expect(await failure { try await wait.value } is CancellationError) }
            #expect(connection.streamCreditWaiters.isEmpty)
            first.finish()
            _ = try await first.read()
            for _ in 0..<3 { #expect(try await exchange(connection, [1]) == [1]) }
        }
    }

    /// What is neither read nor dropped by the other side holds its own window only.
    @Test func aReaderThatNeverReadsBoundsTheSenderAndHindersNobody() async throws {
        try await withPair { pair, network in
            let (client, server) = try await pair.connectBoth()
            let ignored = Box<[QUICStream]>([])
            server.onStream = { ignored.value.append($0) }
            let stuck = try await client.openStream()
            let sent = Box(0)
            let writing = networkTask {
                while true {
                    try await stuck.write(Chunk(pattern(100_000)))
                    sent.value += 100_000
                }
            }
            try await network.sleep(for: .seconds(30))
            let limit = EndpointConfiguration().streamWindow + QUICStream.unsentHighWater + 200_000
            #expect(sent.value > 1_000_000 && sent.value < Int(limit))
            #expect(stuck.sending.retained <= limit)
            serveEcho(server)
            #expect(try await exchange(client, pattern(300_000)) == pattern(300_000))
            ignored.value.first?.stopReading(0)
            #expect((await failure { try await writing.value } as? StreamError)?.code == .stopped(0))
        }
    }

    /// Behind a lost packet nothing is read for a round trip or two: who sends what is read in bulk may go on meanwhile, up
    /// to what the connection may have under way at all. On a short way nothing is gained by that.
    @Test(arguments: [(1, 1, 1), (50, 1, 9), (50, 3, 16)])
    func readingInBulkOpensTheWindowsOfAFarSender(_ latency: Int, _ streams: Int, _ mebibytes: UInt64) async throws {
        try await withPair { pair, network in
            network.link.latency = .milliseconds(latency)
            let (client, server) = try await pair.connectBoth()
            let unread = Box<[QUICStream]>([])
            server.onStream = { stream in
                for _ in 0..<2 { stream.readsInBulk() }
                unread.value.append(stream)
            }
            let writers = (0..<streams).map { _ in
                networkTask {
                    let stream = try await client.openStream()
                    for _ in 0..<200 { try await stream.write(Chunk(pattern(100_000))) }
                }
            }
            try await network.sleep(for: .seconds(30))
            let arrived = client.streams.values.reduce(0) { $0 + $1.acknowledgedBytes }
            #expect(arrived == mebibytes << 20)
            for stream in unread.value { stream.stopReading(0) }
            for writer in writers { _ = await failure { try await writer.value } }
        }
    }

    /// Bytes of streams that were reset or stopped midway return to the connection's window (RFC 9000 4.5).
    @Test(arguments: [0.0, 0.03])
    func abandonedStreamsReturnTheirWindow(_ loss: Double) async throws {
        var configuration = EndpointConfiguration()
        configuration.connectionWindow = 500_000
        configuration.maxConnectionWindow = 500_000
        configuration.streamWindow = 200_000
        configuration.maxStreamWindow = 200_000
        try await withPair(seed: 11, server: configuration, client: configuration) { pair, network in
            network.link.loss = loss
            let (client, server) = try await pair.connectBoth()
            let inbound = Box<[QUICStream]>([])
            server.onStream = { inbound.value.append($0) }
            for round in 0..<40 {
                let stream = try await client.openStream()
                let writing = networkTask { try await stream.write(Chunk(pattern(400_000))) }
                try await network.sleep(for: .milliseconds(Int64(70 + round * 3)))
                if round % 2 == 0 { stream.reset(1) } else { inbound.value.last?.stopReading(1) }
                try await network.sleep(for: .seconds(1))
                stream.reset(2)
                for stream in inbound.value { stream.reset(3) }
                inbound.value.removeAll()
                _ = await writing.result
            }
            try await network.sleep(for: .seconds(2))
            #expect(client.streams.isEmpty && server.streams.isEmpty)
            serveEcho(server)
            #expect(try await exchange(client, pattern(2_000_000)) == pattern(2_000_000))
        }
    }

    @Test func bothDirectionsAtOnce() async throws {
        try await withPair { pair, network in
            network.link.latency = .milliseconds(2)
            let (client, server) = try await pair.connectBoth()
            serveEcho(client)
            async let up = exchange(client, pattern(4_000_000, seed: 1))
            async let down = exchange(server, pattern(4_000_000, seed: 2))
            let (first, second) = (try await up, try await down)
            #expect(first == pattern(4_000_000, seed: 1) && second == pattern(4_000_000, seed: 2))
        }
    }

    @Test func streamsNobodyServesAreRefusedAndTheirCreditReturned() async throws {
        try await withPair { pair, network in
            let (client, server) = try await pair.connectBoth()
            server.onStream = nil
            for _ in 0..<600 {
                let stream = try await client.openStream()
                let error = await failure {
                    try await stream.write(Chunk([1]))
                    _ = try await stream.read()
                }
                #expect((error as? StreamError)?.code == .reset(0))
                stream.reset(0)
            }
            try await network.sleep(for: .seconds(1))
            #expect(client.streams.isEmpty && server.streams.isEmpty)
        }
    }
}
