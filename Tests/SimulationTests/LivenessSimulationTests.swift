import DeP2P
import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PSessions
import DeP2PSimulation
import Glibc
import Testing

/// Who is online, as whole nodes see it over bad links: nobody who lives is taken for gone, and who dies is in time.
///
/// Each seed is a world of a few nodes for some minutes. `DEP2P_ROUNDS` has as many more of them.
@Suite @NetworkActor struct LivenessSimulationTests {
    private nonisolated static let seeds: UInt64 = 12
    private nonisolated static let peers = 5

    nonisolated static var allSeeds: Range<UInt64> {
        let rounds = getenv("DEP2P_ROUNDS").flatMap { UInt64(String(cString: $0)) } ?? 1
        return 0..<seeds * max(1, rounds)
    }

    /// What one node tells of others, and when.
    @NetworkActor private final class Watcher {
        private(set) var told: [(at: NetworkInstant, presence: PeerPresence)] = []

        init(_ node: Node, _ clock: any NetworkClock) {
            let events = node.events(of: .peers)
            networkTask { [weak self] in
                for await event in events {
                    if case .peer(let presence) = event { self?.told.append((clock.now, presence)) }
                }
            }
        }

        func count(_ state: PeerPresence.State) -> Int { told.count { $0.presence.state == state } }

        func first(
            _ state: PeerPresence.State, of nodeID: NodeID, after start: NetworkInstant
        ) -> (after: Duration, reason: PeerPresence.Reason?)? {
            told.first { $0.at >= start && $0.presence.state == state && $0.presence.nodeID == nodeID }
                .map { ($0.at.duration(since: start), $0.presence.reason) }
        }
    }

    /// A node, and others that are connected with it, all members of one realm.
    @NetworkActor private struct Gathering {
        let hub: Node
        let others: [Node]
        let watcher: Watcher

        func stop() async {
            for node in others + [hub] { await node.stop(grace: .zero) }
        }
    }

    private func gather(_ count: Int, in world: SimulatedWorld, mesh: RealmKey) async throws -> Gathering {
        let hub = try world.node(on: world.machine())
        let watcher = Watcher(hub, world.network)
        try hub.join(mesh)
        var others: [Node] = []
        for _ in 0..<count {
            let node = try world.node(on: world.machine())
            try node.join(mesh)
            others.append(node)
            while true {
                // The handshake may be unlucky too; it is not what this is about.
                do { _ = try await node.connectMember(DialTarget(addresses: hub.addresses)) } catch { continue }
                break
            }
        }
        return Gathering(hub: hub, others: others, watcher: watcher)
    }

    private func key(_ world: SimulatedWorld) throws -> RealmKey {
        try RealmKey(bytes: world.randomSource().bytes(RealmKey.length))
    }

    /// Times at which nothing passes between two machines, a fifth of all, each of this length on average.
    @NetworkActor private final class Bursts {
        private struct Link {
            var random: SplitMix64
            var isBad = false
            var until = NetworkInstant(nanoseconds: 1)

            mutating func passes(_ now: NetworkInstant, _ mean: Double) -> Bool {
                while until <= now {
                    isBad.toggle()
                    until = until.advanced(by: .seconds((isBad ? -mean : -4 * mean) * log(1 - random.unit())))
                }
                return !isBad
            }
        }

        private let seed: UInt64
        private let mean: Double
        private var links: [Set<IPAddress>: Link] = [:]

        init(_ seed: UInt64, mean: Double) { (self.seed, self.mean) = (seed, mean) }

        func passes(_ from: IPAddress, _ to: IPAddress, _ now: NetworkInstant) -> Bool {
            let fresh = Link(random: SplitMix64(seed: seed << 32 | UInt64(links.count)))
            return links[[from, to], default: fresh].passes(now, mean)
        }
    }

    // MARK: Who lives

    @Test(arguments: allSeeds) func nobodyIsTakenForGoneAtOneInAHundredLost(seed: UInt64) async throws {
        let world = SimulatedWorld(seed: seed)
        world.network.link.loss = 0.01
        try await world.run {
            let gathering = try await gather(Self.peers, in: world, mesh: key(world))
            try await world.network.sleep(for: .seconds(120))
            #expect(gathering.watcher.count(.offline) == 0, "\(gathering.watcher.told)")
            #expect(gathering.hub.peers.count == Self.peers)
            #expect(gathering.hub.peers.allSatisfy { $0.isMember && $0.state == .online && $0.path == .direct })
            await gathering.stop()
        }
    }

    /// How a fifth of all packets is lost.
    private enum Loss: CaseIterable {
        /// Each by itself.
        case random
        /// Everything for a fifth of a second, or a second, on average.
        case bursts
        case longBursts
    }

    /// Of all minutes that a node is watched, less than one in a hundred has one taken for gone; `LivenessLossTests` has
    /// thousands of runs of it.
    @Test(arguments: Loss.allCases)
    private func fewAreTakenForGoneAtTwentyInAHundredLost(_ loss: Loss) async throws {
        var (minutes, wrong) = (0, 0)
        for seed in Self.allSeeds {
            let world = SimulatedWorld(seed: 1_000 + seed)
            world.network.link.latency = .milliseconds(40)
            minutes += 2 * Self.peers
            wrong += try await world.run {
                let gathering = try await gather(Self.peers, in: world, mesh: key(world))
                let bursts = Bursts(seed, mean: loss == .bursts ? 0.2 : 1)
                if loss == .random {
                    world.network.link.loss = 0.2
                } else {
                    world.network.filter = { [network = world.network] _, from, to in
                        bursts.passes(from.ip, to.ip, network.now)
                    }
                }
                try await world.network.sleep(for: .seconds(120))
                await gathering.stop()
                return gathering.watcher.count(.offline)
            }
        }
        print("liveness: \(wrong) of \(minutes) minutes had a peer taken for gone (\(loss))")
        #expect(wrong * 100 < minutes, "\(wrong) of \(minutes)")
    }

    // MARK: Who goes

    @Test(arguments: allSeeds) func whoGoesIsSeenInTime(seed: UInt64) async throws {
        let world = SimulatedWorld(seed: 2_000 + seed)
        world.network.link.loss = 0.01
        try await world.run {
            let gathering = try await gather(2, in: world, mesh: key(world))
            try await world.network.sleep(for: .seconds(20) + .milliseconds(Int64(seed * 371 % 3_000)))
            let (polite, dying) = (gathering.others[0], gathering.others[1])
            world.network.link.loss = 0
            var start = world.network.now
            await polite.stop(grace: .zero)
            try await world.network.sleep(for: .milliseconds(500))
            let goodbye = try #require(gathering.watcher.first(.offline, of: polite.nodeID, after: start))
            #expect(goodbye.reason == .goodbye && goodbye.after < .milliseconds(100), "\(goodbye)")

            start = world.network.now
            let dead = dying.localAddresses
            world.network.filter = { _, from, to in !dead.contains(from) && !dead.contains(to) }
            try await world.network.sleep(for: .seconds(30))
            let missed = try #require(gathering.watcher.first(.unstable, of: dying.nodeID, after: start))
            let gone = try #require(gathering.watcher.first(.offline, of: dying.nodeID, after: start))
            #expect(missed.reason == .silent && missed.after < .seconds(5))
            #expect(gone.reason == .timeout && gone.after < .seconds(10), "\(gone)")
            #expect(gathering.hub.peers.isEmpty)
            await gathering.stop()
        }
    }

    /// Through a relay, whichever dies: the peer, or the relay with nothing in its place.
    @Test(arguments: allSeeds) func whoDiesBehindARelayIsSeenInTime(seed: UInt64) async throws {
        let world = SimulatedWorld(seed: 3_000 + seed)
        try await world.run {
            let mesh = try key(world)
            var relaying = NodeConfiguration()
            relaying.relay = RelayConfiguration(membersOnly: false)
            relaying.usesRelays = false
            let relay = try world.node(relaying, on: world.machine())
            var relayed = NodeConfiguration()
            relayed.relays = relay.addresses
            relayed.usesDirect = false
            let (left, right) = (
                try world.node(relayed, on: world.machine()), try world.node(relayed, on: world.machine())
            )
            let watcher = Watcher(left, world.network)
            for node in [left, right] { try node.join(mesh) }
            #expect(await right.waitForRelay(timeout: .seconds(10)))
            let session = try await left.connectMember(DialTarget(nodeID: right.nodeID, addresses: right.addresses))
            #expect(session.path.kind == .relay(relay.nodeID))
            try await world.network.sleep(for: .seconds(20) + .milliseconds(Int64(seed * 371 % 3_000)))
            #expect(left.peers.contains { $0.nodeID == right.nodeID && $0.path == .relay(relay.nodeID) })
            let start = world.network.now
            let victim = seed % 2 == 0 ? right : relay
            let dead = Set(victim.localAddresses)
            world.network.filter = { _, from, to in !dead.contains(from) && !dead.contains(to) }
            try await world.network.sleep(for: .seconds(40))
            let gone = try #require(watcher.first(.offline, of: right.nodeID, after: start), "\(watcher.told)")
            #expect(gone.after < .seconds(15), "\(gone)")
            for node in [left, right, relay] { await node.stop(grace: .zero) }
        }
    }

    // MARK: A closed lid

    /// Both machines stand still for ten minutes: nobody is gone before it had a chance to be heard.
    @Test(arguments: allSeeds) func tenMinutesOfNothingAreNobodysAbsence(seed: UInt64) async throws {
        let world = SimulatedWorld(seed: 4_000 + seed)
        try await world.run {
            let gathering = try await gather(2, in: world, mesh: key(world))
            try await world.network.sleep(for: .seconds(20) + .milliseconds(Int64(seed * 371 % 3_000)))
            world.network.standStill(for: .seconds(600))
            let start = world.network.now
            try await world.network.sleep(for: .seconds(3))
            // The connections may not outlive it; their peers come back by others.
            for node in gathering.others {
                _ = try await node.connectMember(DialTarget(addresses: gathering.hub.addresses))
            }
            try await world.network.sleep(for: .seconds(30))
            #expect(gathering.watcher.count(.offline) == 0, "\(gathering.watcher.told)")
            for node in gathering.others {
                let back = gathering.watcher.told.last { $0.presence.nodeID == node.nodeID }
                #expect(back?.presence.state == .online)
                #expect(back.map { $0.at.duration(since: start) < .seconds(15) } ?? false)
            }
            await gathering.stop()
        }
    }

    // MARK: Clocks that are set

    /// On either side, by hours and by a year, forwards and back: nobody notices, and who comes is let in.
    @Test(arguments: [6, -12, 24 * 365, -24 * 400])
    func settingTheWallClockIsNobodysAbsence(hours: Int64) async throws {
        let world = SimulatedWorld(seed: 5_000)
        try await world.run {
            let mesh = try key(world)
            let machines = (0..<3).map { _ in world.machine() }
            let nodes = try machines.map { try world.node(on: $0) }
            let watcher = Watcher(nodes[0], world.network)
            for node in nodes { try node.join(mesh) }
            _ = try await nodes[1].connectMember(DialTarget(addresses: nodes[0].addresses))
            for machine in machines.prefix(2) {
                try await world.network.sleep(for: .seconds(20))
                machine.setClock(by: .seconds(3_600 * hours))
                try await world.network.sleep(for: .seconds(20))
                machine.setClock(by: .seconds(-7_200 * hours))
            }
            try await world.network.sleep(for: .seconds(20))
            #expect(watcher.told.map(\.presence.state) == [.online], "\(watcher.told)")
            _ = try await nodes[2].connectMember(DialTarget(addresses: nodes[0].addresses))
            _ = try await nodes[1].connectMember(DialTarget(addresses: nodes[2].addresses))
            try await world.network.sleep(for: .seconds(2))
            #expect(nodes.allSatisfy { $0.peers.count == 2 && $0.peers.allSatisfy(\.isMember) })
            for node in nodes { await node.stop(grace: .zero) }
        }
    }

    /// Whoever wakes up looks at its network anew; who was only set another time does not.
    @Test func whoWakesUpFindsOutWhereItIs() async throws {
        let world = SimulatedWorld(seed: 5_001)
        try await world.run {
            let machine = world.machine()
            let node = try world.node(on: machine)
            var changes = 0
            let events = node.events()
            networkTask {
                for await case .networkChanged in events { changes += 1 }
            }
            try await world.network.sleep(for: .seconds(1))
            machine.setClock(by: .seconds(3_600))
            try await world.network.sleep(for: .seconds(1))
            #expect(changes == 0)
            world.network.standStill(for: .seconds(3_600))
            machine.wake(after: .seconds(3_600))
            try await world.network.sleep(for: .seconds(1))
            #expect(changes == 1)
            await node.stop(grace: .zero)
        }
    }
}
