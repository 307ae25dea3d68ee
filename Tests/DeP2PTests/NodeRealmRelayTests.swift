import DeP2PIdentity
import DeP2PReactor
import DeP2PSessions
import DeP2PSimulation
import Testing

@testable import DeP2P
@testable import DeP2PReach

/// A member that others reach at a public address relays for its realm by itself (issue 10, point 8).
@Suite @NetworkActor struct NodeRealmRelayTests {
    private let key = RealmKey.generate()

    private func configuration(_ change: (inout NodeConfiguration) -> Void = { _ in }) -> NodeConfiguration {
        var configuration = NodeConfiguration(identity: IdentityKey.generate())
        configuration.mapsPorts = false
        change(&configuration)
        return configuration
    }

    private func server(_ world: SimulatedWorld) throws -> Node {
        try world.node(configuration { $0.preset = .server }, on: world.machine())
    }

    /// Behind a NAT of its own that lets in whom the host has written to, and gives another port to each.
    private func hidden(
        _ number: UInt32, _ world: SimulatedWorld, _ change: (inout NodeConfiguration) -> Void = { _ in }
    ) throws -> Node {
        let gateway = SimulatedGateway(
            external: Self.external(number), inside: IPAddress(v4: 0x0a00_0000 + number << 8),
            mapping: .addressAndPort, filtering: .addressAndPort, ports: .random)
        return try world.node(configuration(change), on: world.machine(behind: gateway))
    }

    private static func external(_ number: UInt32) -> IPAddress { IPAddress(v4: 0x2d64_0001 + number << 8) }

    private func expect(
        in world: SimulatedWorld, within time: Duration, sourceLocation: SourceLocation = #_sourceLocation,
        _ condition: @NetworkActor () -> Bool
    ) async throws {
        let holds = try await world.wait(atMost: time, until: condition)
        #expect(holds, sourceLocation: sourceLocation)
    }

    private func stop(_ nodes: [Node]) async {
        for node in nodes { await node.stop(grace: .zero) }
    }

    @Test func membersThatNobodyReachesAreReachedThroughIt() async throws {
        let world = SimulatedWorld(seed: 1)
        try await world.run {
            let (relay, left, right) = (try server(world), try hidden(1, world), try hidden(2, world))
            for node in [relay, left, right] { try node.join(key) }
            #expect(!relay.isRealmRelay)
            _ = try await right.connectMember(DialTarget(addresses: relay.addresses))
            try await expect(in: world, within: .seconds(10)) { !right.relayReservations.isEmpty }
            #expect(relay.isRealmRelay && right.relayReservations.map(\.relay) == [relay.nodeID])
            #expect(right.addresses.contains { $0.relay?.nodeID == relay.nodeID })
            // Connected with the relay alone, and told nothing but a NodeID.
            _ = try await left.connectMember(DialTarget(addresses: relay.addresses))
            try await expect(in: world, within: .seconds(10)) { !left.relayReservations.isEmpty }
            let session = try await left.connectMember(DialTarget(nodeID: right.nodeID, addresses: []))
            #expect(session.path.kind == .relay(relay.nodeID) && session.isAdmitted)
            #expect(relay.relayStatistics?.circuits == 1)
            // Nobody's relay outside of the realm, and at once.
            try relay.leaveRealm()
            try await expect(in: world, within: .seconds(2)) { right.relayReservations.isEmpty }
            #expect(!relay.isRealmRelay && relay.relayStatistics == nil)
            await stop([left, right, relay])
        }
    }

    @Test func aNearMemberIsPreferredAndOneThatTheUserNamesIsKept() async throws {
        let world = SimulatedWorld(seed: 2)
        try await world.run {
            let far = try world.node(
                configuration { $0.relay = RelayConfiguration(membersOnly: false) }, on: world.machine())
            let other = try world.node(
                configuration { $0.relay = RelayConfiguration(membersOnly: false) }, on: world.machine())
            for case .ip(let ip)? in [far, other].flatMap(\.addresses).map(\.host) {
                let route = SimulatedNetwork.Route(from: Self.external(1), to: ip)
                world.network.links[route] = world.network.link
                world.network.links[route]?.latency = .milliseconds(150)
            }
            let right = try hidden(1, world) { $0.relays = far.addresses + other.addresses }
            try await expect(in: world, within: .seconds(10)) { right.relayReservations.count == 2 }
            let near = try server(world)
            for node in [near, right] { try node.join(key) }
            _ = try await right.connectMember(DialTarget(addresses: near.addresses))
            try await expect(in: world, within: .seconds(10)) { right.relayReservations.first?.relay == near.nodeID }
            try await world.network.sleep(for: .seconds(5))
            #expect(right.relayReservations.map(\.relay) == [near.nodeID, far.nodeID])
            // When it goes, the others are back.
            await near.stop(grace: .zero)
            try await expect(in: world, within: .seconds(10)) {
                Set(right.relayReservations.map(\.relay)) == [far.nodeID, other.nodeID]
            }
            await stop([right, far, other])
        }
    }

    @Test func strangersAreNeitherServedNorTold() async throws {
        let world = SimulatedWorld(seed: 3)
        try await world.run {
            let relay = try server(world)
            let member = try hidden(1, world)
            for node in [relay, member] { try node.join(key) }
            _ = try await member.connectMember(DialTarget(addresses: relay.addresses))
            try await expect(in: world, within: .seconds(10)) { relay.isRealmRelay }
            let stranger = try hidden(2, world) { $0.relays = relay.addresses }
            #expect(await stranger.waitForRelay(timeout: .seconds(5)) == false)
            let session = try await stranger.session(to: DialTarget(addresses: relay.addresses))
            let information = try await stranger.identify(session)
            #expect(!information.protocols.contains { $0.hasPrefix("/dep2p/realm") })
            #expect(relay.relayStatistics?.reservations == 1)
            await stop([stranger, member, relay])
        }
    }

    /// Without the switch; behind a NAT; out of a realm.
    @Test func whoCannotOrMayNotRelayDoesNot() async throws {
        let world = SimulatedWorld(seed: 4)
        try await world.run {
            let plain = try world.node(configuration(), on: world.machine())
            let off = try world.node(
                configuration {
                    $0.preset = .server
                    $0.relaysForRealm = false
                }, on: world.machine())
            let behind = try hidden(1, world) { $0.relaysForRealm = true }
            let homeless = try server(world)
            let guest = try hidden(2, world)
            for node in [plain, off, behind, guest] { try node.join(key) }
            for node in [plain, off] { _ = try await guest.connectMember(DialTarget(addresses: node.addresses)) }
            _ = try await behind.connectMember(DialTarget(addresses: plain.addresses))
            _ = try await guest.session(to: DialTarget(addresses: homeless.addresses))
            try await world.network.sleep(for: .seconds(20))
            for node in [plain, off, behind, homeless] { #expect(!node.isRealmRelay) }
            #expect(guest.relayReservations.isEmpty)
            // Once it has a realm, it is one: somebody has come in.
            try homeless.join(key)
            try await expect(in: world, within: .seconds(5)) { homeless.isRealmRelay }
            await stop([guest, plain, off, behind, homeless])
        }
    }

    /// Tells of members that nobody is connected with.
    private final class Members: NodePart, MemberSource {
        private let addresses: [Address]

        init(_ node: Node, _ addresses: [Address]) {
            self.addresses = addresses
            node.connections.memberSources.append(self)
        }

        func members() -> AsyncStream<FoundAddresses> {
            let (stream, found) = FoundAddresses.makeStream()
            found.yield(
                FoundAddresses(addresses.map { KnownAddress($0, origin: .record, learnedAt: 0) }, from: .member))
            return stream
        }
    }

    @Test func aMemberThatNeedsARelayLooksForOneAmongThoseThatShowThemselves() async throws {
        let world = SimulatedWorld(seed: 5)
        try await world.run {
            let relay = try server(world)
            let (there, guest) = (relay.addresses.compactMap(\.withoutNodeID), try hidden(1, world))
            let right = try hidden(2, world) { $0.parts = [{ node in Members(node, there) }] }
            for node in [relay, guest, right] { try node.join(key) }
            _ = try await guest.connectMember(DialTarget(addresses: relay.addresses))
            try await expect(in: world, within: .seconds(30)) { !right.relayReservations.isEmpty }
            await stop([guest, right, relay])
        }
    }

    /// However many members say that they relay: a few are known, and two used.
    @Test func manyRelaysAreNotAllUsed() async throws {
        let world = SimulatedWorld(seed: 6)
        try await world.run {
            let right = try hidden(1, world)
            try right.join(key)
            var relays: [Node] = []
            for _ in 0..<12 {
                let relay = try server(world)
                try relay.join(key)
                _ = try await right.connectMember(DialTarget(addresses: relay.addresses))
                relays.append(relay)
            }
            try await world.network.sleep(for: .seconds(20))
            #expect(relays.count { $0.isRealmRelay } == relays.count)
            #expect(right.relays.relays.count(where: \.isOfRealm) == RelayClient.realmLimit)
            #expect(right.relayReservations.count == 2)
            await stop(relays + [right])
        }
    }

    /// Members that relay and do so no more, one after the other.
    @Test func whoOffersAndWithdrawsTakesNoPlacesFromTheUser() async throws {
        let world = SimulatedWorld(seed: 7)
        try await world.run {
            // It is told by hand who relays: those go on serving whom they have served.
            let right = try hidden(1, world) { $0.reserves = false }
            try right.join(key)
            var relays: [Node] = []
            for _ in 0..<ReservationMachine.relayLimit + 1 {
                let relay = try server(world)
                try relay.join(key)
                _ = try await right.connectMember(DialTarget(addresses: relay.addresses))
                relays.append(relay)
                try await expect(in: world, within: .seconds(5)) { relay.isRealmRelay }
                right.relays.use(ofRealm: relay.nodeID, at: relay.addresses)
                try await expect(in: world, within: .seconds(10)) {
                    right.relays.standing.contains { $0.relay == relay.nodeID }
                }
                right.relays.withdraw(ofRealm: relay.nodeID)
            }
            #expect(right.relays.relays.count <= RelayClient.realmLimit)
            let named = try world.node(
                configuration { $0.relay = RelayConfiguration(membersOnly: false) }, on: world.machine())
            right.relays.use(try #require(named.addresses.first))
            try await expect(in: world, within: .seconds(10)) {
                right.relays.standing.contains { $0.relay == named.nodeID }
            }
            await stop(relays + [right, named])
        }
    }
}
