import DeP2PIdentity
import DeP2PReactor
import DeP2PSessions
import DeP2PSimulation
import Testing

@testable import DeP2P

/// Pings, on virtual time.
@Suite @NetworkActor struct PingsTests {
    private func nodes(in world: SimulatedWorld) throws -> (Node, Node) {
        (
            try world.node(on: world.machine(at: IPAddress(v4: 0x0a00_0001))),
            try world.node(on: world.machine(at: IPAddress(v4: 0x0a00_0002)))
        )
    }

    @Test func theyComeAtTheirInterval() async throws {
        let world = SimulatedWorld(seed: 974)
        world.network.link.latency = .milliseconds(50)
        try await world.run {
            let (left, right) = try nodes(in: world)
            let connection = try await left.connect(to: DialTarget(right.addresses[0]))
            var (replies, starts): ([PingReply], [NetworkInstant]) = ([], [])
            for try await reply in connection.pings(PingOptions(count: 3)) {
                replies.append(reply)
                starts.append(world.network.now)
            }
            #expect(replies.map(\.number) == [1, 2, 3])
            #expect(replies.allSatisfy { $0.roundTrip ?? .zero >= .milliseconds(100) && !$0.path.isRelayed })
            // From start to start, whatever one takes.
            let between = starts[2].duration(since: starts[0])
            #expect(between > .milliseconds(1_990) && between < .milliseconds(2_010), "\(between)")
            try await world.network.sleep(for: .seconds(1))
            #expect(connection.session.openStreamCount == 0)
            await left.stop(grace: .zero)
            await right.stop(grace: .zero)
        }
    }

    @Test func onesThatAreLostAreSaidAndTheNextIsSent() async throws {
        let world = SimulatedWorld(seed: 975)
        try await world.run {
            let (left, right) = try nodes(in: world)
            let connection = try await left.connect(to: DialTarget(right.addresses[0]))
            var options = PingOptions()
            (options.timeout, options.duration) = (.seconds(2), .seconds(6))
            var lost: [Bool] = []
            for try await reply in connection.pings(options) {
                lost.append(reply.roundTrip == nil)
                #expect(reply.waited == .seconds(2) || lost.count > 1)
                world.network.filter = nil
                if lost.count == 1 { world.network.filter = { _, _, _ in false } }
            }
            // One that is answered, one that is lost, and the rest of the six seconds.
            #expect(lost.prefix(3) == [false, true, false] && lost.count >= 5, "\(lost)")
            await left.stop(grace: .zero)
            await right.stop(grace: .zero)
        }
    }

    @Test func aLoopThatIsLeftEndsItsStreamAndWatchesNoLonger() async throws {
        let world = SimulatedWorld(seed: 976)
        try await world.run {
            let (left, right) = try nodes(in: world)
            let connection = try await left.connect(to: DialTarget(right.addresses[0]))
            let watchers = connection.session.pathHandlerCount
            var options = PingOptions()
            options.followsPath = true
            for try await _ in connection.pings(options) {
                #expect(connection.session.pathHandlerCount == watchers + 1)
                break
            }
            try await world.network.sleep(for: .seconds(5))
            #expect(connection.session.openStreamCount == 0 && connection.session.pathHandlerCount == watchers)
            await #expect(throws: DeP2PError(.timeout, "")) {
                world.network.filter = { _, _, _ in false }
                return try await connection.ping(timeout: .seconds(1))
            }
            await left.stop(grace: .zero)
            await right.stop(grace: .zero)
        }
    }
}
