import DeP2PIdentity
import DeP2PReactor
import DeP2PRealm
import DeP2PSessions
import DeP2PSimulation
import Testing

@testable import DeP2P

/// Topics of whole nodes.
@Suite @NetworkActor struct NodePubSubTests {
    private let key = RealmKey.generate()

    private func node(_ world: SimulatedWorld, knowing peers: [Address] = []) throws -> Node {
        var configuration = NodeConfiguration(identity: IdentityKey.generate())
        configuration.knownPeers = peers
        configuration.mapsPorts = false
        configuration.usesMDNS = false
        let node = try world.node(configuration, on: world.machine())
        try node.join(key)
        return node
    }

    /// More know one node than it has places for in its mesh, and know nobody else: it names them to each other.
    @Test func membersThatKnowOneAloneAreLedToOthers() async throws {
        let world = SimulatedWorld(seed: 12)
        try await world.run {
            let hub = try node(world)
            var subscriptions = [try hub.subscribe("news")]
            var nodes: [Node] = []
            for _ in 0..<16 {
                let member = try node(world, knowing: hub.addresses)
                subscriptions.append(try member.subscribe("news"))
                nodes.append(member)
                try await world.network.sleep(for: .milliseconds(500))
            }
            try await world.network.sleep(for: .seconds(10))
            let led = nodes.filter { node in
                node.connections.sessions.contains { $0.isAdmitted && $0.remoteNodeID != hub.nodeID }
            }
            #expect(led.count >= 4, "\(led.count) of 16 are connected with others")
            #expect(subscriptions.count == 17)
            for node in nodes + [hub] { await node.stop(grace: .zero) }
        }
    }
}
