import DeP2PDiscovery
import DeP2PIdentity
import DeP2PReactor
import DeP2PSessions
import DeP2PSimulation
import DeP2PStorage
import Testing

@testable import DeP2P

/// Nodes across networks that know of each other nothing but a NodeID, and one bootstrap node (issue 11, points 4, 5, 7).
@Suite @NetworkActor struct NodeDHTTests {
    private func configuration(
        bootstrap: [Address] = [], found: Bool = true, serves: Bool = false, storage: (any Storage)? = nil
    ) -> NodeConfiguration {
        var configuration = NodeConfiguration(identity: IdentityKey.generate())
        configuration.usesDHT = true
        configuration.bootstrap = bootstrap
        configuration.reserves = found
        configuration.servesDHT = serves
        configuration.mapsPorts = false
        configuration.storage = storage
        return configuration
    }

    private func failure(_ node: Node, to nodeID: NodeID) async -> DeP2PError? {
        do {
            _ = try await node.session(to: DialTarget(nodeID))
            return nil
        } catch {
            return error
        }
    }

    private func detail(_ error: DeP2PError?) -> String? { error?.sources.first { $0.source == "dht" }?.detail }

    /// Nobody is there.
    private func nowhere(_ number: UInt8) -> Address {
        .quic(IPAddress(v4: 0x2d40_0000 + UInt32(number)), port: 4001, nodeID: IdentityKey.generate().nodeID)
    }

    @Test func aNodeIsFoundByItsNodeIDThroughOneBootstrapNode() async throws {
        let world = SimulatedWorld(seed: 1)
        try await world.run {
            let server = try world.node(configuration(serves: true), on: world.machine())
            let there = try world.node(configuration(bootstrap: server.addresses), on: world.machine())
            let here = try world.node(configuration(bootstrap: server.addresses, found: false), on: world.machine())
            try await world.network.sleep(for: .seconds(5))
            #expect(try await here.session(to: DialTarget(there.nodeID)).remoteNodeID == there.nodeID)
            let finding = await here.findInDHT(there.nodeID)
            #expect(finding.addresses.first?.nodeID == there.nodeID && finding.hops == 1)
            #expect(finding.closest == [server.nodeID] && finding.queried == 1)
            for node in [there, here, server] { await node.stop(grace: .zero) }
        }
    }

    /// It asks for its surroundings before the relay has granted it a reservation, and at once after that.
    @Test func whatARelayGrantsLaterIsFoundToo() async throws {
        let world = SimulatedWorld(seed: 7)
        try await world.run {
            var serving = configuration()
            serving.relay = RelayConfiguration(membersOnly: false)
            let relay = try world.node(serving, on: world.machine())
            var reserving = configuration()
            reserving.relays = relay.addresses
            let there = try world.node(reserving, on: world.machine())
            try await world.network.sleep(for: .seconds(5))
            let here = try world.node(configuration(bootstrap: relay.addresses, found: false), on: world.machine())
            #expect(await here.findInDHT(there.nodeID).addresses.contains { $0.relay?.nodeID == relay.nodeID })
            for node in [there, here, relay] { await node.stop(grace: .zero) }
        }
    }

    /// Behind a bootstrap node that is a relay it is reached through that, with nothing said of relays.
    @Test func aBootstrapNodeThatIsARelayIsReservedWith() async throws {
        let world = SimulatedWorld(seed: 8)
        try await world.run {
            var serving = configuration()
            serving.relay = RelayConfiguration(membersOnly: false)
            let relay = try world.node(serving, on: world.machine())
            let plain = try world.node(configuration(serves: true), on: world.machine())
            let there = try world.node(
                configuration(bootstrap: plain.addresses + relay.addresses), on: world.machine())
            try await world.network.sleep(for: .seconds(8))
            #expect(there.relayReservations.map(\.relay) == [relay.nodeID])
            #expect(there.addresses.contains { $0.relay?.nodeID == relay.nodeID })
            for node in [there, plain, relay] { await node.stop(grace: .zero) }
        }
    }

    /// In a realm a node is told to nobody who asks for its NodeID, whoever may serve; when it has left, it is again.
    @Test func aMemberOfARealmIsNotNamedToStrangers() async throws {
        let world = SimulatedWorld(seed: 9)
        try await world.run {
            let server = try world.node(configuration(serves: true), on: world.machine())
            let there = try world.node(configuration(bootstrap: server.addresses), on: world.machine())
            try there.join(.generate())
            let here = try world.node(configuration(bootstrap: server.addresses, found: false), on: world.machine())
            try await world.network.sleep(for: .seconds(5))
            #expect(await here.findInDHT(there.nodeID).addresses.isEmpty)
            try there.leaveRealm()
            try await world.network.sleep(for: .seconds(5))
            #expect(await !here.findInDHT(there.nodeID).addresses.isEmpty)
            try there.join(.generate())
            try await world.network.sleep(for: .seconds(5))
            #expect(await here.findInDHT(there.nodeID).addresses.isEmpty)
            for node in [there, here, server] { await node.stop(grace: .zero) }
        }
    }

    /// Who was only asked something is not told as a peer, and the connection with him ends.
    @Test func whoIsOnlyAskedIsNobodysCompany() async throws {
        let world = SimulatedWorld(seed: 10)
        try await world.run {
            let first = try world.node(configuration(serves: true), on: world.machine())
            var servers = [first]
            for _ in 0..<4 {
                servers.append(
                    try world.node(configuration(bootstrap: first.addresses, serves: true), on: world.machine()))
            }
            try await world.network.sleep(for: .seconds(5))
            let here = try world.node(configuration(bootstrap: first.addresses), on: world.machine())
            try await world.network.sleep(for: .seconds(5))
            let asked = Set(here.connections.sessions.map(\.remoteNodeID))
            #expect(asked.count > 1 && here.peers.map(\.nodeID) == [first.nodeID])
            // Wanted, it is company, over the connection that stands.
            let wanted = try #require(asked.first { $0 != first.nodeID })
            let session = try await here.session(to: DialTarget(wanted))
            #expect(Set(here.peers.map(\.nodeID)) == [first.nodeID, wanted])
            try await world.network.sleep(for: .seconds(60))
            #expect(session.isOpen)
            #expect(Set(here.connections.sessions.filter(\.isInitiator).map(\.remoteNodeID)) == [first.nodeID, wanted])
            for node in [here] + servers { await node.stop(grace: .zero) }
        }
    }

    /// Whoever crowds round a key that is looked up often says nothing of how many nodes there are.
    @Test func onlyKeysDrawnAtRandomShowTheNetworksSize() async throws {
        let world = SimulatedWorld(seed: 11)
        try await world.run {
            let first = try world.node(configuration(serves: true), on: world.machine())
            var servers = [first]
            for _ in 0..<9 {
                servers.append(
                    try world.node(configuration(bootstrap: first.addresses, serves: true), on: world.machine()))
            }
            try await world.network.sleep(for: .seconds(5))
            let here = try world.node(configuration(bootstrap: first.addresses, found: false), on: world.machine())
            for _ in 0..<5 { _ = await here.findInDHT(IdentityKey.generate().nodeID) }
            #expect(here.dhtPart?.dht.size.estimate == nil)
            for node in [here] + servers { await node.stop(grace: .zero) }
        }
    }

    /// Who says that it provides something is found by the hash of that, with its addresses; nobody else is.
    @Test func whoProvidesSomethingIsFound() async throws {
        let world = SimulatedWorld(seed: 12)
        try await world.run {
            let servers = try [
                world.node(configuration(serves: true), on: world.machine()),
                world.node(configuration(serves: true), on: world.machine()),
            ]
            let entrances = servers.flatMap(\.addresses)
            let there = try world.node(configuration(bootstrap: entrances), on: world.machine())
            let here = try world.node(configuration(bootstrap: entrances, found: false), on: world.machine())
            try await world.network.sleep(for: .seconds(5))
            let digest = [0x12, 32] + [UInt8](repeating: 7, count: 32)
            let (cid, other) = try (
                #require(CID(codec: 0x55, multihash: digest)),
                #require(CID(codec: 0x55, multihash: digest.dropLast() + [8]))
            )
            #expect(await there.provideInDHT(cid) == 2)
            // Whatever the content is said to be encoded as.
            let same = try #require(CID(codec: 0x70, multihash: digest))
            var holding = 0
            let finding = await here.findProvidersInDHT(same) { if $0.holds { holding += 1 } }
            #expect(finding.providers.map(\.nodeID) == [there.nodeID] && finding.hops == 1 && holding == 2)
            #expect(Set(finding.providers.first?.addresses ?? []) == Set(there.addresses))
            #expect(await here.findProvidersInDHT(other).providers.isEmpty)
            for node in [there, here] + servers { await node.stop(grace: .zero) }
        }
    }

    @Test func aRecordIsFoundByItsKey() async throws {
        let world = SimulatedWorld(seed: 13)
        try await world.run {
            let server = try world.node(configuration(serves: true), on: world.machine())
            let there = try world.node(configuration(bootstrap: server.addresses), on: world.machine())
            let here = try world.node(configuration(bootstrap: server.addresses, found: false), on: world.machine())
            let item = try MutableItem(by: .generate(), salt: [1, 2], seq: 3, value: Array("2:hi".utf8))
            #expect(await there.dhtPart?.dht.store(item) == 1)
            let finding = await here.findRecordInDHT(item.publicKey + item.salt)
            #expect(finding.record == DHTFinding.Record(seq: 3, value: item.value) && finding.hops == 1)
            let none = await here.findRecordInDHT(item.publicKey)
            #expect(none.record == nil && none.answered == 1 && none.hops == 0)
            for node in [there, here, server] { await node.stop(grace: .zero) }
        }
    }

    /// A member is found in the record that it leaves to its realm, and its NodeID is asked for by nobody who has found that;
    /// members of other realms do not find it.
    @Test func aMemberIsFoundByItsRealmsRecord() async throws {
        let world = SimulatedWorld(seed: 14)
        try await world.run {
            let server = try world.node(configuration(serves: true), on: world.machine())
            let there = try world.node(configuration(bootstrap: server.addresses), on: world.machine())
            let here = try world.node(configuration(bootstrap: server.addresses, found: false), on: world.machine())
            let other = try world.node(configuration(bootstrap: server.addresses, found: false), on: world.machine())
            let key = RealmKey.generate()
            for node in [there, here] { try node.join(key) }
            try other.join(.generate())
            try await world.network.sleep(for: .seconds(10))
            var asked = 0
            let finding = await here.findInDHT(there.nodeID) { _ in asked += 1 }
            #expect(Set(finding.addresses) == Set(there.addresses) && finding.isRealmRecord && finding.hops == 1)
            #expect(finding.closest == [server.nodeID] && finding.queried == 1 && asked == 1)
            // Its record of two epochs, since the world begins at midnight, and its NodeID.
            asked = 0
            let none = await other.findInDHT(there.nodeID) { _ in asked += 1 }
            #expect(none.addresses.isEmpty && !none.isRealmRecord && none.queried == 1 && asked == 3)
            // Who is in no realm is found as before.
            #expect(await !here.findInDHT(server.nodeID).isRealmRecord)
            for node in [there, here, other, server] { await node.stop(grace: .zero) }
        }
    }

    /// Each serves, and knows one of the others only.
    @Test func aNodeIsFoundOverSeveralHops() async throws {
        let world = SimulatedWorld(seed: 2)
        try await world.run {
            var servers = [try world.node(configuration(serves: true), on: world.machine())]
            for _ in 0..<12 {
                let last = servers[servers.count - 1]
                servers.append(
                    try world.node(configuration(bootstrap: last.addresses, serves: true), on: world.machine()))
                try await world.network.sleep(for: .seconds(2))
            }
            let there = try world.node(configuration(bootstrap: servers[0].addresses), on: world.machine())
            try await world.network.sleep(for: .seconds(5))
            let here = try world.node(
                configuration(bootstrap: servers[12].addresses, found: false), on: world.machine())
            #expect(try await here.session(to: DialTarget(there.nodeID)).remoteNodeID == there.nodeID)
            for node in servers + [there, here] { await node.stop(grace: .zero) }
        }
    }

    @Test func deadBootstrapNodesCostOneTimeoutBesideEachOtherAndAreTold() async throws {
        let world = SimulatedWorld(seed: 3)
        try await world.run {
            let server = try world.node(configuration(serves: true), on: world.machine())
            let there = try world.node(configuration(bootstrap: server.addresses), on: world.machine())
            let dead = (1...3).map { nowhere($0) }
            let here = try world.node(configuration(bootstrap: dead, found: false), on: world.machine())
            try await world.network.sleep(for: .seconds(2))
            let begun = world.network.now
            let error = await failure(here, to: there.nodeID)
            #expect(error?.code == .noAddress && detail(error) == "0 of 3 bootstrap nodes answered")
            #expect(world.network.now.duration(since: begun) < DHTNode.requestTimeout * 2)
            let half = try world.node(
                configuration(bootstrap: dead + server.addresses, found: false), on: world.machine())
            let again = world.network.now
            #expect(try await half.session(to: DialTarget(there.nodeID)).remoteNodeID == there.nodeID)
            #expect(world.network.now.duration(since: again) < .seconds(1))
            for node in [there, here, half, server] { await node.stop(grace: .zero) }
        }
    }

    @Test func withoutAnybodyToAskItSaysSo() async throws {
        let world = SimulatedWorld(seed: 4)
        try await world.run {
            let here = try world.node(configuration(found: false), on: world.machine())
            #expect(detail(await failure(here, to: IdentityKey.generate().nodeID)) == "no bootstrap node is known")
            await here.stop(grace: .zero)
        }
    }

    /// A server that leads whoever asks it into their own network.
    private final class LiarPart: NodePart {
        private let connections: Connections
        private let answer: DHTResponse

        init(_ connections: Connections, _ answer: DHTResponse) {
            (self.connections, self.answer) = (connections, answer)
        }

        func start() {
            connections.registry.register(DHTNode.id, deadline: .within(.seconds(5))) { [answer] _, stream in
                let request = try DHTRequest(decoding: try await FrameReader(stream, limit: 1_024).required())
                try await stream.writeFrame(try answer.encoded(to: request))
            }
        }
    }

    @Test func noPrivateAddressIsDialledOnAStrangersWord() async throws {
        let world = SimulatedWorld(seed: 5)
        try await world.run {
            let target = IdentityKey.generate().nodeID
            let hosts = [
                "127.0.0.1", "10.0.0.1", "192.168.1.1", "169.254.1.1", "100.64.0.1", "255.255.255.255", "0.0.0.0",
            ]
            let addresses =
                try hosts.map { try Address("/ip4/\($0)/udp/53/quic-v1") }
                + [
                    "/ip6/::1/udp/53/quic-v1", "/ip6/fe80::1/udp/53/quic-v1", "/ip6/fd00::1/udp/53/quic-v1",
                    "/ip6/::ffff:10.0.0.1/udp/53/quic-v1", "/dns4/localhost/udp/53/quic-v1",
                ].map { try Address($0) }
            var answer = DHTResponse()
            answer.closer = [DHTContact(target, addresses: addresses)]
            answer.closer += (0..<19).map { _ in DHTContact(IdentityKey.generate().nodeID, addresses: addresses) }
            var lying = NodeConfiguration()
            lying.parts = [{ [answer] node in LiarPart(node.connections, answer) }]
            let liar = try world.node(lying, on: world.machine())
            let here = try world.node(configuration(bootstrap: liar.addresses, found: false), on: world.machine())
            let error = await failure(here, to: target)
            #expect(error?.code == .noAddress && error?.attempts.isEmpty == true)
            #expect(detail(error) == "1 of 1 bootstrap node answered")
            let finding = await here.findInDHT(target)
            #expect(finding.addresses.isEmpty && finding.queried == 1)
            for node in [here, liar] { await node.stop(grace: .zero) }
        }
    }

    @Test func theNodesOfTheLastRunAreTriedInTheNext() async throws {
        let world = SimulatedWorld(seed: 6)
        try await world.run {
            let server = try world.node(configuration(serves: true), on: world.machine())
            let there = try world.node(configuration(bootstrap: server.addresses), on: world.machine())
            let storage = MemoryStorage(clock: world.wallClock)
            let first = try world.node(
                configuration(bootstrap: server.addresses, storage: storage), on: world.machine())
            try await world.network.sleep(for: .seconds(3))
            await first.stop(grace: .zero)
            let second = try world.node(configuration(found: false, storage: storage), on: world.machine())
            #expect(try await second.session(to: DialTarget(there.nodeID)).remoteNodeID == there.nodeID)
            for node in [second, there, server] { await node.stop(grace: .zero) }
        }
    }
}
