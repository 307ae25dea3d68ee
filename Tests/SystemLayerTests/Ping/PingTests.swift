import Identity
import QUIC
import SessionTestSupport
import Testing
import Wire

@testable import SystemLayer

@Suite @NetworkActor struct PingTests {
    private let network = MemoryNetwork()

    @Test func repeatsOnOneStream() async throws {
        let (left, right) = (MemoryNode(in: network, port: 1), MemoryNode(in: network, port: 2))
        Ping.serve(on: right.connections)
        let pinger = try await Ping.open(left.connect(to: right))
        for _ in 0..<20 { #expect(try await pinger.ping(timeout: .seconds(5)) >= .zero) }
        #expect(left.transport.connections[0].openedStreams == 1)
        pinger.close()
    }

    @Test func speaksLibp2psNameToANodeThatKnowsNoOther() async throws {
        let (left, right) = (MemoryNode(in: network, port: 1), MemoryNode(in: network, port: 2))
        right.connections.registry.register("/ipfs/ping/1.0.0") { _, stream in
            while let chunk = try await stream.read() { try await stream.write(chunk) }
        }
        let pinger = try await Ping.open(left.connect(to: right))
        #expect(try await pinger.ping(timeout: .seconds(5)) >= .zero)
    }

    @Test func aWrongEchoIsAViolation() async throws {
        let (left, right) = (MemoryNode(in: network, port: 1), MemoryNode(in: network, port: 2))
        right.connections.registry.register("/ipfs/ping/1.0.0") { _, stream in
            while let chunk = try await stream.read() { try await stream.write(Chunk(chunk.array().map { ~$0 })) }
        }
        let pinger = try await Ping.open(left.connect(to: right))
        await #expect(throws: SessionError(.violation)) { try await pinger.ping(timeout: .seconds(5)) }
    }

    @Test func silenceTimesOut() async throws {
        let (left, right) = (MemoryNode(in: network, port: 1), MemoryNode(in: network, port: 2))
        right.connections.registry.register("/ipfs/ping/1.0.0") { _, stream in
            while try await stream.read() != nil {}
        }
        let pinger = try await Ping.open(left.connect(to: right))
        _ = await network.clock.run {
            await #expect(throws: SessionError(.timeout)) { try await pinger.ping(timeout: .milliseconds(10)) }
        }
    }

    @Test func theBucketHoldsItsRate() {
        var bucket = TokenBucket(rate: 100, burst: 4)
        let start = NetworkInstant(nanoseconds: 0)
        #expect((0..<4).allSatisfy { _ in bucket.take(now: start) == .zero })
        #expect(bucket.take(now: start) == .milliseconds(10))
        #expect(bucket.takeNow(now: start) == false)
        #expect(bucket.takeNow(now: start.advanced(by: .seconds(1))) == true)
    }
}
