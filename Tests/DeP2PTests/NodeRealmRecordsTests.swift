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
            // The world begins at midnight: the record, and that it is there at all, stand in two epochs.
            #expect(server.dhtPart?.service.recordCount == 4)
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

    /// A board without a battery begins in 1970 and hears the time later: it is found in today's epoch at once, not in an hour.
    @Test func aMemberWhoseClockIsSetIsFoundInTheEpochThatItIsInThen() async throws {
        let world = SimulatedWorld(seed: 4)
        try await world.run {
            let server = try world.node(configuration(serves: true), on: world.machine())
            let board = world.machine()
            board.setClock(by: .seconds(-86_400 * 365))
            let there = try world.node(configuration(bootstrap: server.addresses), on: board)
            try there.join(key)
            let here = try world.node(configuration(bootstrap: server.addresses, found: false), on: world.machine())
            try here.join(key)
            try await world.network.sleep(for: .seconds(10))
            #expect(await found(there.nodeID, by: here).isEmpty)
            board.setClock(by: .seconds(86_400 * 365))
            try await world.network.sleep(for: .seconds(5))
            #expect(Set(await found(there.nodeID, by: here).last ?? []) == own(there))
            for node in [there, here, server] { await node.stop(grace: .zero) }
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

    // MARK: Members that know none

    /// Nodes that know nothing but the realm key and a bootstrap node hear of what is published (issue 11.5).
    @Test func whatIsPublishedReachesMembersThatNobodyHasNamed() async throws {
        let world = SimulatedWorld(seed: 4)
        try await world.run {
            let server = try world.node(configuration(serves: true), on: world.machine())
            let nodes = try (0..<3).map { number in
                try world.node(configuration(bootstrap: server.addresses, found: number < 2), on: world.machine())
            }
            for node in nodes { try node.join(key) }
            let outsider = try world.node(configuration(bootstrap: server.addresses, found: false), on: world.machine())
            try outsider.join(.generate())
            let subscriptions = try nodes[..<2].map { try $0.subscribe("news") }
            let told = try await nodes[2].publish("here", to: "news", waitingFor: 2, timeout: .seconds(60))
            #expect(told.peers == 2)
            for subscription in subscriptions {
                for await event in subscription {
                    guard case .message(let message) = event else { continue }
                    #expect(message.body == Array("here".utf8) && message.from == nodes[2].nodeID)
                    break
                }
            }
            await #expect(throws: DeP2PError.self) {
                try await outsider.publish("here", to: "news", waitingFor: 1, timeout: .seconds(60))
            }
            for node in nodes + [outsider, server] { await node.stop(grace: .zero) }
        }
    }

    /// What a server has seen of items that were stored with it.
    @NetworkActor private final class Seen {
        var items: [MutableItem] = []
    }

    private final class CuriousPart: NodePart {
        private let connections: Connections
        private let seen: Seen

        init(_ connections: Connections, _ seen: Seen) { (self.connections, self.seen) = (connections, seen) }

        func start() {
            connections.registry.register(DHTNode.id, deadline: .within(.seconds(5))) { [seen] _, stream in
                let request = try DHTRequest(decoding: try await FrameReader(stream, limit: 8_192).required())
                if case .putItem(let item, _) = request { seen.items.append(item) }
                var answer = DHTResponse()
                answer.token = [1]
                try await stream.writeFrame(try answer.encoded(to: request))
            }
        }
    }

    /// All items are alike in form, no two members' or realms' have anything in common, and nothing names anybody.
    @Test func aCuriousServerTellsNeitherRealmsNorMembersNorAddresses() async throws {
        let world = SimulatedWorld(seed: 5)
        try await world.run {
            let seen = Seen()
            var configuration = NodeConfiguration()
            configuration.parts = [{ [seen] node in CuriousPart(node.connections, seen) }]
            let server = try world.node(configuration, on: world.machine())
            let (other, entrance) = (RealmKey.generate(), server.addresses)
            let nodes = try [key, key, other].map { key in
                let node = try world.node(self.configuration(bootstrap: entrance), on: world.machine())
                try node.join(key)
                return node
            }
            try await world.network.sleep(for: .seconds(30))
            let items = seen.items
            // A member's slot and an announce slot each, in two epochs.
            #expect(Set(items.map(\.publicKey)).count >= 3 * 4 - 2)
            let forms = Set(items.map { "\($0.value.count) \($0.salt.count) \($0.value.prefix(4))" })
            #expect(forms.count == 1)
            let secrets =
                nodes.flatMap { node in
                    [node.nodeID.bytes, Array(node.nodeID.bytes.suffix(32))]
                        + node.addresses.compactMap(\.withoutNodeID).map(\.bytes)
                } + [key.id.bytes, other.id.bytes]
            for item in items {
                let seen = item.publicKey + item.value + item.signature
                for secret in secrets where secret.count > 4 {
                    #expect(!seen.indices.contains { seen[$0...].starts(with: secret) })
                }
            }
            for node in nodes + [server] { await node.stop(grace: .zero) }
        }
    }

    /// Beside one honest server: one withholds, one shows what stood in each slot before, one forges, one has an item of another
    /// key. None of them keeps members apart, and no address is dialled but what a member has signed.
    @Test func hostileServersKeepNobodyApart() async throws {
        let world = SimulatedWorld(seed: 6)
        try await world.run {
            let gone = IdentityKey.generate()
            let old = Address.quic(IPAddress(v4: 0x2d50_0001), port: 9)
            let envelope = try PeerRecord(nodeID: gone.nodeID, seq: 1, addresses: [old]).sealed(by: gone)
            let epoch = RealmEpoch(at: world.wallClock())
            let items = try (0..<UInt8(8)).map { number in
                try #require(RealmSlot(announcing: number, of: .members, in: key, epoch: epoch)).item(
                    sealing: envelope, seq: 1, random: .system)
            }
            let good = try #require(items[0])
            let forged = try MutableItem(
                publicKey: good.publicKey, salt: [], seq: .max, value: good.value, signature: good.signature)
            let other = try MutableItem(by: .generate(), salt: [], seq: 1, value: good.value)
            let server = try world.node(configuration(serves: true), on: world.machine())
            let liars = try ([nil, forged, other] + items).map { try hostile($0, world) }
            let entrances = (liars + [server]).flatMap(\.addresses)
            let there = try world.node(configuration(bootstrap: entrances), on: world.machine())
            let here = try world.node(configuration(bootstrap: entrances, found: false), on: world.machine())
            for node in [there, here] { try node.join(key) }
            let subscription = try there.subscribe("news")
            let told = try await here.publish("here", to: "news", waitingFor: 1, timeout: .seconds(60))
            #expect(told.peers == 1 && subscription.topic == "news")
            for node in liars + [there, here, server] { await node.stop(grace: .zero) }
        }
    }
}
