import DeP2PIdentity
import DeP2PQUIC
import DeP2PReach
import DeP2PReactor
import DeP2PSessions
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2P

/// What nodes tell of where they are, over a simulated world.network.
@Suite @NetworkActor struct NodeReachabilityTests {
    private func node(
        in world: SimulatedWorld, host: UInt8, _ change: (inout NodeConfiguration) -> Void = { _ in }
    ) throws -> Node {
        var configuration = NodeConfiguration()
        change(&configuration)
        return try world.node(configuration, on: world.machine(at: IPAddress(v4: 0x2d0a_0000 + UInt32(host))))
    }

    @Test func aNodeThatIsReachedByAStrangersPortIsPublic() async throws {
        let world = SimulatedWorld(seed: 1)
        try await world.run {
            let (left, right) = (try node(in: world, host: 1), try node(in: world, host: 2))
            let log = EventLog(of: left)
            #expect(left.reachability == .unknown)
            _ = try await left.session(to: DialTarget(addresses: right.addresses))
            try await world.network.sleep(for: .seconds(30))
            #expect(log.reachability == [.reachable])
            #expect(left.reachability == .reachable)
            // Nobody whom it had gone to could have dialled back.
            #expect(right.reachability == .unknown)
            // Its own address was known before: it is told once.
            #expect(left.addresses.count == 1)
            left.networkChanged()
            #expect(left.reachability == .unknown)
            try await world.network.sleep(for: .seconds(5))
            #expect(log.reachability == [.reachable, .unknown, .reachable])
            await left.stop(grace: .zero)
            await right.stop(grace: .zero)
        }
    }

    @Test func aNodeWithoutDirectPathsTellsOfNone() async throws {
        let world = SimulatedWorld(seed: 2)
        try await world.run {
            let left = try node(in: world, host: 1) { $0.usesDirect = false }
            let right = try node(in: world, host: 2)
            #expect(left.addresses.isEmpty)
            let session = try await right.session(
                to: DialTarget(addresses: [.quic(IPAddress(v4: 0x2d0a_0001), port: 4001, nodeID: left.nodeID)]))
            #expect(try await right.identify(session).listenAddresses.isEmpty)
            await left.stop(grace: .zero)
            await right.stop(grace: .zero)
        }
    }

    @Test func aNodeThatOnlyGoesOutAsksNobody() async throws {
        let world = SimulatedWorld(seed: 3)
        try await world.run {
            let left = try node(in: world, host: 1) { $0.reserves = false }
            let right = try node(in: world, host: 2)
            _ = try await left.session(to: DialTarget(addresses: right.addresses))
            try await world.network.sleep(for: .seconds(5))
            #expect(left.reachability == .unknown)
            await left.stop(grace: .zero)
            await right.stop(grace: .zero)
        }
    }
}
