import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import Testing

@testable import DeP2PDiscovery
@testable import DeP2PSessions

/// Records of a node that others keep: with whom, how soon it is done, and how long they last (issue 11.4).
@Suite @NetworkActor struct DHTStoringTests {
    private struct Server {
        let node: LightNode
        let dht: DHTNode
        let service: DHTService
    }

    private let world = SimulatedWorld(seed: 1)
    private let kept = Kept()

    /// Nobody else keeps the nodes of a test.
    private final class Kept {
        var nodes: [LightNode] = []
    }

    /// In a /24 of its own.
    private func ip(_ number: Int) -> IPAddress { IPAddress(v4: 0x2d00_0001 + UInt32(number) << 8) }

    private func server(_ number: Int) -> Server {
        let node = world.lightNode(at: ip(number), port: 1)
        let dht = DHTNode(node.connections, bootstrap: [], memory: nil)
        let service = DHTService(dht)
        service.serve()
        return Server(node: node, dht: dht, service: service)
    }

    private func asker(_ bootstrap: [LightNode]) -> DHTNode {
        let node = world.lightNode(at: ip(9_999), port: 1)
        kept.nodes.append(node)
        return DHTNode(node.connections, bootstrap: bootstrap.map(\.address), memory: nil)
    }

    private func item(_ number: UInt8 = 1) throws -> MutableItem {
        try MutableItem(by: .generate(), salt: [number], seq: 1, value: Array("2:hi".utf8))
    }

    private func stop(_ servers: [Server], _ dht: DHTNode) async {
        await dht.stop()
        for server in servers {
            server.service.stop()
            await server.dht.stop()
        }
    }

    /// What servers of the test's own were asked, and whom they name.
    private final class Asked {
        var requests: [DHTRequest] = []
        var closer: [DHTContact] = []
    }

    /// A server that gives tokens, and takes records or is silent where it should.
    private func host(_ number: Int, takes: Bool, _ asked: Asked = Asked()) -> LightNode {
        let node = world.lightNode(at: ip(number), port: 1)
        let clock = world.network
        node.connections.registry.register(DHTNode.id, deadline: .within(.seconds(20))) { _, stream in
            let frame = try await FrameReader(stream, limit: DHTRequest.messageLimit).required()
            let request = try DHTRequest(decoding: frame)
            asked.requests.append(request)
            if case .putItem = request, !takes { try await clock.sleep(for: .seconds(10)) }
            var response = DHTResponse()
            (response.token, response.closer) = ([1], asked.closer)
            try await stream.writeFrame(try response.encoded(to: request))
        }
        kept.nodes.append(node)
        return node
    }

    /// Five of twenty that never answer when it comes to storing hold up nobody; who waited for all would wait 3 s.
    @Test func itIsDoneWhenMostHaveIt() async throws {
        try await world.run {
            let asked = Asked()
            let hosts = (0..<20).map { host($0, takes: $0 % 4 != 0, asked) }
            asked.closer = hosts.map {
                DHTContact($0.nodeID, addresses: [$0.address].compactMap(\.withoutNodeID))
            }
            let dht = asker(hosts)
            let begun = world.network.now
            let count = try await dht.store(item())
            #expect(count == 12)
            #expect(world.network.now.duration(since: begun) < .seconds(1))
            await dht.stop()
        }
    }

    @Test func whoIsNotServedIsTold() async throws {
        try await world.run {
            let (none, item) = (asker([]), try item())
            #expect(await none.store(item) == 0)
            let dht = asker((0..<3).map { host($0, takes: false) })
            #expect(await dht.store(item) == 0)
            for node in [none, dht] { await node.stop() }
        }
    }

    /// More than twenty are nearer to a key than the twentieth is expected to be: each of the 21 nearest has the record. Of
    /// those beyond these it is chance who is heard of where everybody knows everybody, since an answer names the twenty nearest
    /// beside whoever gives it.
    @Test func everybodyWithinReachHasIt() async throws {
        try await world.run {
            let servers = (0..<60).map { server($0) }
            let contacts = servers.map { server in
                DHTContact(server.node.nodeID, addresses: [server.node.address].compactMap(\.withoutNodeID))
            }
            for server in servers {
                for contact in contacts where contact.nodeID != server.node.nodeID {
                    server.dht.table.note { _ = $0.answered(contact, subnet: contact.subnet, now: $1) }
                }
            }
            let dht = asker([servers[0].node])
            var random = SplitMix64(seed: 3)
            for _ in 0..<NetworkSize.sampleLimit {
                let target = DHTKey.random(using: &random)
                dht.size.lookedUp(target, closest: contacts.nearest(to: target, 20))
            }
            let reach = try #require(dht.size.reach)
            @NetworkActor func near(_ item: MutableItem) -> [Server] {
                let all = servers.map { (server: $0, distance: DHTKey($0.node.nodeID).distance(to: item.key)) }
                return all.filter { $0.distance < reach }.sorted { $0.distance < $1.distance }.map(\.server)
            }
            let items = try (UInt8(0)..<250).map { try item($0) }.filter { near($0).count > 20 }.prefix(3)
            #expect(items.count == 3)
            for item in items {
                #expect(await dht.store(item) >= 12)
                try await world.network.sleep(for: .seconds(10))
                let has = servers.filter { $0.service.has(item.key) }
                #expect(Set(has.map(\.node.nodeID)).isSuperset(of: near(item).prefix(21).map(\.node.nodeID)))
            }
            await stop(servers, dht)
        }
    }

    /// A record ends after three hours; who has stored it sees to it that it is there, also with those that came later.
    @Test func whatIsStoredLastsUntilItIsWithdrawn() async throws {
        try await world.run {
            let servers = [server(0), server(1)]
            servers[1].service.stopServing()
            let dht = asker(servers.map(\.node))
            let item = try item()
            #expect(await dht.store(item) == 1)
            servers[1].service.serve()
            try await world.network.sleep(for: .seconds(7 * 3_600))
            #expect(servers.allSatisfy { $0.service.has(item.key) })
            dht.withdraw(item.publicKey + item.salt)
            try await world.network.sleep(for: .seconds(4 * 3_600))
            #expect(servers.allSatisfy { $0.service.recordCount == 0 })
            await stop(servers, dht)
        }
    }

    /// However many records there are, those that hold them are looked for once a region.
    @Test func aRegionsRecordsAreStoredAgainAfterOneLookup() async throws {
        try await world.run {
            let asked = Asked()
            let dht = asker([host(0, takes: true, asked)])
            var random = SplitMix64(seed: 5)
            for _ in 0..<NetworkSize.fewestSamples {
                let target = DHTKey.random(using: &random)
                dht.size.lookedUp(target, closest: try random.contacts(20).nearest(to: target, 20))
            }
            #expect(dht.size.regionBits == 0)
            for number in UInt8(0)..<10 {
                let item = try item(number)
                #expect(await dht.store(item) == 1)
            }
            asked.requests = []
            try await world.network.sleep(for: .seconds(5_000))
            let lookups = asked.requests.filter { if case .findPlace = $0 { true } else { false } }
            let puts = asked.requests.filter { if case .putItem = $0 { true } else { false } }
            #expect(lookups.count == 1 && puts.count == 10 && asked.requests.count == 21)
            await dht.stop()
        }
    }

    @Test func whoProvidesSomethingTellsStrangersNothingOfItsNetwork() async {
        await world.run {
            let asked = Asked()
            let dht = asker([host(0, takes: true, asked)])
            let outside = Address.quic(ip(9_999), port: 1)
            let inside = Address.quic(IPAddress(v4: 0xc0a8_0001), port: 1)
            let multihash = [0x12, 32] + [UInt8](repeating: 7, count: 32)
            dht.ownAddresses = { [inside, outside] }
            #expect(await dht.provide(multihash) == 1)
            dht.ownAddresses = { [inside] }
            #expect(await dht.provide(multihash) == 0)
            let told: [[Address]] = asked.requests.compactMap { request in
                if case .addProvider(_, let provider, _) = request { provider.addresses } else { nil }
            }
            #expect(told == [[outside]])
            await dht.stop()
        }
    }
}
