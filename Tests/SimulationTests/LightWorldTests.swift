import DeP2PIdentity
import DeP2PReactor
import DeP2PSessions
import DeP2PSimulation
import DeP2PTestSupport
import Glibc
import Testing

/// The light form of a world: protocols without QUIC.
@Suite @NetworkActor struct LightWorldTests {
    private func ip(_ number: Int) -> IPAddress { IPAddress(v4: 0x2e00_0001 + UInt32(number) << 8) }

    @Test func aLightStreamTakesTheLinksTime() async throws {
        let world = SimulatedWorld(seed: 1)
        world.network.link.latency = .milliseconds(30)
        try await world.run {
            let (left, right) = (world.lightNode(at: ip(1)), world.lightNode(at: ip(2)))
            Ping.serve(on: right.connections)
            let start = world.network.now
            let session = try await left.connect(to: right)
            #expect(world.network.now.duration(since: start) == .milliseconds(60))
            let pinger = try await Ping.open(session)
            _ = try await pinger.ping(timeout: .seconds(1))
            #expect(try await pinger.ping(timeout: .seconds(1)) == .milliseconds(60))
            let far = try #require(right.connections.session(with: left.nodeID))
            session.close(.normal)
            #expect(far.isOpen)
            #expect(try await far.waitClosed().cause == .closedByPeer(.normal))
        }
    }

    @Test func anIdleWorldSaysSoAndABusyOneGivesUp() async throws {
        let world = SimulatedWorld(seed: 2)
        try await world.run {
            let (left, right) = (world.lightNode(at: ip(1)), world.lightNode(at: ip(2)))
            Ping.serve(on: right.connections)
            let session = try await left.connect(to: right)
            #expect(try await world.driveToIdle() <= .seconds(2))
            let pinger = try await Ping.open(session)
            let busy = networkTask {
                while !Task.isCancelled { _ = try await pinger.ping(timeout: nil) }
            }
            await #expect(throws: SimulatedWorld.NeverIdle.self) { try await world.driveToIdle(within: .seconds(5)) }
            busy.cancel()
            session.close(.normal)
            try await world.driveToIdle()
        }
    }

    /// Each has sessions in and out, and asks over one of them; all that in two gigabytes.
    @Test func tenThousandNodesMeet() async throws {
        let count = 10_000
        let world = SimulatedWorld(seed: 3)
        let before = try Self.memory("VmRSS")
        try await world.run {
            let nodes = (0..<count).map { world.lightNode(at: ip($0)) }
            for node in nodes { Ping.serve(on: node.connections) }
            let answered = Box(0)
            for (number, node) in nodes.enumerated() {
                // 7,919 is prime: who asks and who is asked lie far apart, and nobody is asked twice.
                let other = nodes[(number + 7_919) % count]
                networkTask {
                    let session = try await node.connect(to: other)
                    _ = try await Ping.open(session).ping(timeout: .seconds(5))
                    answered.value += 1
                }
            }
            try await world.driveToIdle()
            #expect(answered.value == count)
            #expect(nodes.allSatisfy { $0.connections.sessions.count == 2 })
            #expect(try Self.memory("VmRSS") - before < 2 << 30)
            for node in nodes { node.connections.stop() }
            try await world.driveToIdle()
            #expect(nodes.allSatisfy { $0.connections.sessions.isEmpty })
        }
    }

    /// A row of `/proc/self/status`, in bytes.
    private static func memory(_ row: String) throws -> Int {
        let file = try #require(fopen("/proc/self/status", "r"))
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 256)
        while fgets(&line, Int32(line.count), file) != nil {
            let words = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
                .split(whereSeparator: \.isWhitespace)
            if words.first == "\(row):", words.count > 1, let kilobytes = Int(words[1]) { return kilobytes * 1024 }
        }
        return 0
    }
}
