import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PSimulation
import DeP2PWire
import Testing

@testable import DeP2PSessions

@Suite @NetworkActor struct PingTests {
    private let world = SimulatedWorld(seed: 1, latency: .zero)

    @Test func repeatsOnOneStream() async throws {
        let (left, right) = (world.lightNode(port: 1), world.lightNode(port: 2))
        Ping.serve(on: right.connections)
        let pinger = try await Ping.open(left.connect(to: right))
        for _ in 0..<20 { #expect(try await pinger.ping(timeout: .seconds(5)) >= .zero) }
        #expect(left.transport.connections[0].openedStreams == 1)
        pinger.close()
    }

    @Test func speaksLibp2psNameToANodeThatKnowsNoOther() async throws {
        let (left, right) = (world.lightNode(port: 1), world.lightNode(port: 2))
        right.connections.registry.register("/ipfs/ping/1.0.0", deadline: .unlimited(because: "a test")) { _, stream in
            while let chunk = try await stream.read() { try await stream.write(chunk) }
        }
        let pinger = try await Ping.open(left.connect(to: right))
        #expect(try await pinger.ping(timeout: .seconds(5)) >= .zero)
    }

    @Test(
        "in a realm the first ping takes one round trip, and who knows libp2p's name alone is asked by that",
        arguments: [true, false])
    func aRealmsPeer(isOurs: Bool) async throws {
        let world = SimulatedWorld(seed: 2, latency: .milliseconds(50))
        try await world.run {
            let (left, right) = (world.lightNode(port: 1), world.lightNode(port: 2))
            if isOurs {
                Ping.serve(on: right.connections)
            } else {
                right.connections.registry.register(
                    "/ipfs/ping/1.0.0", deadline: .unlimited(because: "a test")
                ) { _, stream in
                    while let chunk = try await stream.read() { try await stream.write(chunk) }
                }
            }
            let session = try await left.connect(to: right)
            session.beginAdmission()
            let start = session.clock.now
            let pinger = try await Ping.open(session)
            let time = try await pinger.ping(timeout: .seconds(5))
            #expect((session.clock.now.duration(since: start) == time) == isOurs)
            for _ in 0..<3 { #expect(try await pinger.ping(timeout: .seconds(5)) == time) }
        }
    }

    @Test func aWrongEchoIsAViolation() async throws {
        let (left, right) = (world.lightNode(port: 1), world.lightNode(port: 2))
        right.connections.registry.register("/ipfs/ping/1.0.0", deadline: .unlimited(because: "a test")) { _, stream in
            while let chunk = try await stream.read() { try await stream.write(Chunk(chunk.array().map { ~$0 })) }
        }
        let pinger = try await Ping.open(left.connect(to: right))
        await #expect(throws: SessionError(.violation)) { try await pinger.ping(timeout: .seconds(5)) }
    }

    @Test func silenceTimesOut() async throws {
        let (left, right) = (world.lightNode(port: 1), world.lightNode(port: 2))
        right.connections.registry.register("/ipfs/ping/1.0.0", deadline: .unlimited(because: "a test")) { _, stream in
            while try await stream.read() != nil {}
        }
        let pinger = try await Ping.open(left.connect(to: right))
        _ = await world.run {
            await #expect(throws: SessionError(.timeout)) { try await pinger.ping(timeout: .milliseconds(10)) }
        }
    }

    @Test func twoStreamsOfASessionAreServed() async throws {
        let (left, right) = (world.lightNode(port: 1), world.lightNode(port: 2))
        Ping.serve(on: right.connections)
        let session = try await left.connect(to: right)
        var pingers: [Pinger] = []
        for _ in 0..<Ping.streamsPerSession {
            pingers.append(try await Ping.open(session))
            _ = try await pingers.last?.ping(timeout: .seconds(5))
        }
        await #expect(throws: SessionError(.busy)) {
            try await Ping.open(session).ping(timeout: .seconds(5))
        }
        pingers[0].close()
        for _ in 0..<100 { await Task.yield() }
        _ = try await Ping.open(session).ping(timeout: .seconds(5))
    }

    /// Issue 7.9: who floods and reads nothing costs what is under way to him, and no more.
    @Test func echoesThatNobodyTakesEndTheStream() async throws {
        let (left, right) = (world.lightNode(port: 1), world.lightNode(port: 2))
        Ping.serve(on: right.connections)
        _ = try await left.connect(to: right)
        let raw = try await left.transport.connections[0].openByteStream()
        let flood = MultistreamDialer([Ping.protocolIDs[0]]).firstFlight + [UInt8](repeating: 1, count: 64 * 1024)
        try await raw.write(Chunk(flood))
        let session = try #require(right.connections.session(with: left.nodeID))
        await world.run {
            try? await world.network.sleep(for: .seconds(10))
        }
        #expect(session.servedStreamCount == 0 && session.isOpen)
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
