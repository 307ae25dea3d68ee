import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PQUIC

/// One stream: its ends, resets and errors, in each state.
@Suite(.serialized, .timeLimit(.minutes(1)))
@NetworkActor
struct QUICStreamTests {
    /// A stream opened by the client and its other end, which nobody serves.
    private func streamPair(_ pair: TestPair) async throws -> (near: QUICStream, far: QUICStream) {
        let (client, server) = try await pair.connectBoth()
        let arrival = Waiter<QUICStream>()
        server.onStream = { arrival.resume(returning: $0) }
        let near = try await client.openStream()
        try await near.write(Chunk([0]))
        let far = try await arrival.value()
        _ = try await far.read()
        return (near, far)
    }

    private func code(_ error: (any Error)?) -> StreamError.Code? { (error as? StreamError)?.code }

    @Test func endsWithoutData() async throws {
        try await withPair { pair, _ in
            let connection = try await pair.connect()
            let stream = try await connection.openStream()
            stream.finish()
            let end = try await stream.read()
            #expect(end == nil)
            let again = try await stream.read()
            #expect(again == nil)
        }
    }

    @Test func emptyWritesAreNothing() async throws {
        try await withPair { pair, _ in
            let (near, far) = try await streamPair(pair)
            for _ in 0..<100 { try await near.write(Chunk([])) }
            try await near.write(Chunk([1]))
            try await near.write(Chunk([]))
            near.finish()
            let chunk = try await far.read()
            #expect(chunk?.array() == [1])
            let end = try await far.read()
            #expect(end == nil)
        }
    }

    @Test func writingAfterTheEndThrows() async throws {
        try await withPair { pair, _ in
            let (near, far) = try await streamPair(pair)
            near.finish()
            near.finish()
            #expect(code(await failure { try await near.write(Chunk([1])) }) == .alreadyClosed)
            let end = try await far.read()
            #expect(end == nil)
            far.reset(3)
            #expect(code(await failure { try await far.write(Chunk([1])) }) == .alreadyClosed)
        }
    }

    @Test func aResetReachesTheReader() async throws {
        try await withPair { pair, _ in
            let (near, far) = try await streamPair(pair)
            let reading = networkTask { _ = try await far.read() }
            await settle()
            near.reset(77)
            #expect(code(await failure { try await reading.value }) == .reset(77))
            #expect(code(await failure { _ = try await far.read() }) == .reset(77))
            // reset abandons both directions.
            let writing = await failure { for _ in 0..<100 { try await far.write(Chunk(pattern(100_000))) } }
            #expect(code(writing) == .stopped(77))
            #expect(code(await failure { _ = try await near.read() }) == .alreadyClosed)
        }
    }

    @Test func codesAreClampedToWhatTheWireHolds() async throws {
        try await withPair { pair, _ in
            let (near, far) = try await streamPair(pair)
            near.reset(.max)
            #expect(code(await failure { _ = try await far.read() }) == .reset((1 << 62) - 1))
        }
    }

    @Test func stopReadingEndsThePeersWrites() async throws {
        try await withPair { pair, network in
            let (near, far) = try await streamPair(pair)
            let writing = networkTask {
                for _ in 0..<1_000 { try await near.write(Chunk(pattern(100_000))) }
            }
            try await network.sleep(for: .milliseconds(300))
            far.stopReading(12)
            far.stopReading(13)
            #expect(code(await failure { try await writing.value }) == .stopped(0))
            #expect(code(await failure { _ = try await far.read() }) == .alreadyClosed)
            // The other direction goes on.
            try await far.write(Chunk([5]))
            far.finish()
            let chunk = try await near.read()
            #expect(chunk?.array() == [5])
            let end = try await near.read()
            #expect(end == nil)
        }
    }

    @Test func stopAndResetInEveryStateAreHarmless() async throws {
        try await withPair { pair, network in
            for step in 0..<12 {
                let (near, far) = try await streamPair(pair)
                if step & 1 != 0 { near.finish() }
                if step & 2 != 0 { try await network.sleep(for: .milliseconds(200)) }
                switch step / 4 {
                case 0: far.stopReading(1)
                case 1: far.reset(1)
                default: far.finish()
                }
                if step & 1 == 0 { near.stopReading(2) }
                near.reset(3)
                near.reset(4)
                far.reset(5)
                try await network.sleep(for: .seconds(1))
                #expect(near.connection.streams.isEmpty && far.connection.streams.isEmpty, "step \(step)")
                near.reset(6)
                far.stopReading(7)
                near.connection.close(code: 0)
            }
        }
    }

    @Test func theConnectionsEndFailsAllWhoWait() async throws {
        try await withPair { pair, network in
            let (near, far) = try await streamPair(pair)
            let reading = networkTask { _ = try await near.read() }
            let writing = networkTask {
                for _ in 0..<1_000 { try await near.write(Chunk(pattern(200_000))) }
            }
            try await network.sleep(for: .seconds(2))
            far.connection.close(code: 9, reason: "enough")
            for task in [reading, writing] {
                let error = await failure { try await task.value } as? StreamError
                #expect(error?.code == .connectionClosed)
                #expect(error?.detail.contains("enough") == true)
            }
            #expect(code(await failure { try await far.write(Chunk([1])) }) == .connectionClosed)
            #expect(code(await failure { _ = try await near.connection.openStream() }) == .connectionClosed)
            #expect(near.connection.streams.isEmpty && far.connection.streams.isEmpty)
        }
    }

    @Test func cancelledReadsAndWritesLeaveTheStreamUsable() async throws {
        try await withPair { pair, network in
            let (near, far) = try await streamPair(pair)
            for _ in 0..<20 {
                let reading = networkTask { _ = try await far.read() }
                await settle()
                reading.cancel()
                #expect(await failure { try await reading.value } is CancellationError)
            }
            let data = pattern(6_000_000)
            let writing = networkTask { try await near.write(Chunk(data)) }
            try await network.sleep(for: .seconds(1))
            writing.cancel()
            #expect(await failure { try await writing.value } is CancellationError)
            // What was handed over before stays queued.
            near.finish()
            var result: [UInt8] = []
            while let chunk = try await far.read() { result += chunk.array() }
            #expect(result == data)
        }
    }

    @Test func acknowledgedBytesFollowThePeer() async throws {
        try await withPair { pair, network in
            let (near, far) = try await streamPair(pair)
            try await near.write(Chunk(pattern(10_000)))
            #expect(near.acknowledgedBytes < 10_001)
            near.finish()
            while try await far.read() != nil {}
            far.finish()
            try await network.sleep(for: .seconds(1))
            #expect(near.acknowledgedBytes == 10_001)
        }
    }

    @Test func bytesThatArrivedAreReadBeforeTheReset() async throws {
        try await withPair { pair, network in
            let (near, far) = try await streamPair(pair)
            try await near.write(Chunk([1, 2, 3]))
            near.finish()
            try await network.sleep(for: .milliseconds(200))
            near.connection.close(code: 0)
            try await network.sleep(for: .milliseconds(200))
            // All of the stream had arrived before the connection ended.
            let chunk = try await far.read()
            #expect(chunk?.array() == [1, 2, 3])
            let end = try await far.read()
            #expect(end == nil)
        }
    }
}
