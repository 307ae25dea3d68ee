import DeP2PDiscovery
import DeP2PIdentity
import DeP2PReactor
import DeP2PRealm
import DeP2PSessions
import DeP2PSimulation
import Testing

@testable import DeP2P

/// Members that know of each other nothing but the realm key and one bootstrap node (issue 11, point 5).
@Suite @NetworkActor struct NodeRealmRecordsTests {
    private let key = RealmKey.generate()

    private func configuration(
        bootstrap: [Address] = [], relays: [Address] = [], found: Bool = true, serves: Bool = false
    ) -> NodeConfiguration {
        var configuration = NodeConfiguration(identity: IdentityKey.generate())
        configuration.usesDHT = true
        configuration.bootstrap = bootstrap
        configuration.relays = relays
        configuration.reserves = found
        configuration.servesDHT = serves
        configuration.mapsPorts = false
        return configuration
    }

    /// What the realm's records alone say of a node, in the order in which it was found.
    private func found(_ nodeID: NodeID, by node: Node) async -> [[Address]] {
        guard let records = node.realmRecordsPart?.records else { return [] }
        var all: [[Address]] = []
        for await found in records.addresses(of: nodeID) where !found.addresses.isEmpty {
            all.append(found.addresses.map(\.address))
        }
        return all
    }

    private func own(_ node: Node) -> Set<Address> { Set(node.addresses.compactMap(\.withoutNodeID)) }

    @Test func aMemberIsFoundByTheRealmsRecordAndByNobodyElse() async throws {
        let world = SimulatedWorld(seed: 1)
        try await world.run {
            let server = try world.node(configuration(serves: true), on: world.machine())
            let there = try world.node(configuration(bootstrap: server.addresses), on: world.machine())
            try there.join(key)
            let here = try world.node(configuration(bootstrap: server.addresses, found: false), on: world.machine())
            let outsider = try world.node(configuration(bootstrap: server.addresses, found: false), on: world.machine())
            try here.join(key)
            try outsider.join(.generate())
            try await world.network.sleep(for: .seconds(10))
            #expect(Set(await found(there.nodeID, by: here).last ?? []) == own(there))
            #expect(await found(there.nodeID, by: outsider).isEmpty)
            // Who only goes out to others publishes nothing.
            #expect(await found(here.nodeID, by: there).isEmpty)
            // The world begins at midnight: the record stands in two epochs.
            #expect(server.dhtPart?.service.recordCount == 2)
            for node in [there, here, outsider, server] { await node.stop(grace: .zero) }
        }
    }

    @Test func aMemberBehindARelayIsFoundWithItsWaysThroughIt() async throws {
        let world = SimulatedWorld(seed: 2)
        try await world.run {
            var serving = configuration()
            serving.relay = RelayConfiguration(membersOnly: false)
            let relay = try world.node(serving, on: world.machine())
            let there = try world.node(configuration(relays: relay.addresses), on: world.machine())
            try there.join(key)
            try await world.network.sleep(for: .seconds(10))
            let here = try world.node(configuration(bootstrap: relay.addresses, found: false), on: world.machine())
            try here.join(key)
            let record = await found(there.nodeID, by: here).last ?? []
            #expect(record.contains { $0.relay?.nodeID == relay.nodeID } && Set(record) == own(there))
            for node in [there, here, relay] { await node.stop(grace: .zero) }
        }
    }

    /// A server that answers every request for an item with that one, or with none.
    private final class HostilePart: NodePart {
        private let connections: Connections
        private let item: MutableItem?

        init(_ connections: Connections, _ item: MutableItem?) { (self.connections, self.item) = (connections, item) }

        func start() {
            connections.registry.register(DHTNode.id, deadline: .within(.seconds(5))) { [item] _, stream in
                let request = try DHTRequest(decoding: try await FrameReader(stream, limit: 8_192).required())
                var answer = DHTResponse()
                if case .getItem = request { (answer.item, answer.token) = (item, [1]) }
                try await stream.writeFrame(try answer.encoded(to: request))
            }
        }
    }

    private func hostile(_ item: MutableItem?, _ world: SimulatedWorld) throws -> Node {
        var configuration = NodeConfiguration()
        configuration.parts = [{ [item] node in HostilePart(node.connections, item) }]
        return try world.node(configuration, on: world.machine())
    }

    /// Beside one honest server: one withholds, one replays what the member said before, one forges, one has an item of
    /// another key.
    @Test func hostileServersHideNothingAndSendNobodyElsewhere() async throws {
        let world = SimulatedWorld(seed: 3)
        try await world.run {
            let member = IdentityKey.generate()
            let slot = try #require(RealmSlot(of: member.nodeID, in: key, epoch: RealmEpoch(at: world.wallClock())))
            let old = Address.quic(IPAddress(v4: 0x2d50_0001), port: 9)
            let replayed = slot.item(
                sealing: try PeerRecord(nodeID: member.nodeID, seq: 1, addresses: [old]).sealed(by: member), seq: 1,
                random: .system)
            let good = try #require(replayed)
            let forged = try MutableItem(
                publicKey: good.publicKey, salt: [], seq: .max, value: good.value, signature: good.signature)
            let other = try MutableItem(by: .generate(), salt: [], seq: 1, value: good.value)
            let server = try world.node(configuration(serves: true), on: world.machine())
            let liars = try [nil, good, forged, other].map { try hostile($0, world) }
            let entrances = (liars + [server]).flatMap(\.addresses)
            var identified = configuration(bootstrap: entrances)
            identified.identity = member
            let there = try world.node(identified, on: world.machine())
            try there.join(key)
            try await world.network.sleep(for: .seconds(10))
            let here = try world.node(configuration(bootstrap: entrances, found: false), on: world.machine())
            try here.join(key)
            let all = await found(there.nodeID, by: here)
            #expect(Set(all.last ?? []) == own(there))
            // An old word of the member's own is all that anybody can add.
            #expect(all.dropLast().allSatisfy { $0 == [old] })
            for node in liars + [there, here, server] { await node.stop(grace: .zero) }
        }
    }
}
