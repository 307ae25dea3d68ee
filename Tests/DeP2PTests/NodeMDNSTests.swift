import DeP2PDiscovery
import DeP2PIdentity
import DeP2PReactor
import DeP2PSessions
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2P

/// Nodes of one network that know of each other nothing but a NodeID.
@Suite @NetworkActor struct NodeMDNSTests {
    private let key = RealmKey.generate()

    private func configuration(
        found: Bool = true, shows: NodeIDShowing = .outsideRealms
    ) -> NodeConfiguration {
        var configuration = NodeConfiguration()
        configuration.usesMDNS = true
        configuration.reserves = found
        configuration.showsNodeID = shows
        configuration.mapsPorts = false
        return configuration
    }

    private func node(_ host: UInt32, _ world: SimulatedWorld, _ configuration: NodeConfiguration) throws -> Node {
        try world.node(configuration, on: world.machine(at: IPAddress(v4: 0x0a00_0000 + host)))
    }

    private func code(_ body: () async throws -> Session) async -> DeP2PError.Code? {
        do {
            _ = try await body()
            return nil
        } catch {
            return (error as? DeP2PError)?.code
        }
    }

    @Test func aNodeIsFoundByItsNodeID() async throws {
        let world = SimulatedWorld(seed: 1)
        world.network.link.latency = .milliseconds(1)
        try await world.run {
            let (there, here) = (try node(1, world, configuration()), try node(2, world, configuration(found: false)))
            try await world.network.sleep(for: .seconds(5))
            let begun = world.network.now
            let session = try await here.session(to: DialTarget(there.nodeID))
            #expect(session.remoteNodeID == there.nodeID)
            #expect(world.network.now.duration(since: begun) < .milliseconds(300))
            for node in [there, here] { await node.stop(grace: .zero) }
        }
    }

    @Test func membersFindEachOtherAndOutsidersDoNot() async throws {
        let world = SimulatedWorld(seed: 2)
        world.network.link.latency = .milliseconds(1)
        try await world.run {
            let there = try node(1, world, configuration(shows: .never))
            let (member, outsider) = (
                try node(2, world, configuration(found: false)), try node(3, world, configuration(found: false))
            )
            try there.join(key)
            try member.join(key)
            try await world.network.sleep(for: .seconds(5))
            #expect(try await member.session(to: DialTarget(there.nodeID)).remoteNodeID == there.nodeID)
            #expect(await code { try await outsider.session(to: DialTarget(there.nodeID)) } == .noAddress)
            for node in [there, member, outsider] { await node.stop(grace: .zero) }
        }
    }

    /// On the network stands nothing of a NodeID that is not to be shown, and after the goodbye nothing of the node.
    @Test func whatIsNotShownIsNotToldAndGoodbyeIsSaid() async throws {
        let world = SimulatedWorld(seed: 3)
        try await world.run {
            let machine = world.machine(at: IPAddress(v4: 0x0a00_0005))
            let ear = try machine.environment.sockets.member(
                of: SocketAddress(IPAddress(v4: 0xe000_00fb), port: 5_353), on: 1)
            var heard: [DNSMessage] = []
            ear.onDatagram = { datagram in if let message = DNSMessage(datagram.bytes) { heard.append(message) } }
            let there = try node(1, world, configuration())
            try there.join(key)
            try await world.network.sleep(for: .seconds(5))
            await there.stop(grace: .zero)
            try await world.network.sleep(for: .seconds(1))
            let records = heard.flatMap(\.records)
            let id = Array("\(there.nodeID)".utf8)
            let shown = records.filter { record in
                guard case .text(let strings) = record.data else { return false }
                return strings.contains { $0.suffix(id.count).elementsEqual(id) }
            }
            #expect(shown.isEmpty && !records.isEmpty)
            for name in Set(records.map(\.name)) where name.parent == PeerAnnouncement.service {
                #expect(records.last { $0.name == name }?.lifetime == 0)
            }
            ear.close()
        }
    }

    @Test func aFoundNodeStaysHiddenWithItsRealm() async throws {
        let world = SimulatedWorld(seed: 4)
        try await world.run {
            let (there, here) = (
                try node(1, world, configuration(shows: .never)), try node(2, world, configuration(found: false))
            )
            // Hidden, and in no realm: nobody can find it, so nothing is told.
            try await world.network.sleep(for: .seconds(5))
            #expect(await code { try await here.session(to: DialTarget(there.nodeID)) } == .noAddress)
            for node in [there, here] { await node.stop(grace: .zero) }
        }
    }
}
