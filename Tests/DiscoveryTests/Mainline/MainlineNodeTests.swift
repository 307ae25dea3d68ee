import DeP2PIdentity
import DeP2PReactor
import DeP2PSessions
import DeP2PSimulation
import DeP2PStorage
import Testing

@testable import DeP2PDiscovery

/// A client among nodes of the BitTorrent DHT that answer, lose, and lie.
@Suite @NetworkActor struct MainlineNodeTests {
    /// Datagrams that went to each address.
    @NetworkActor
    private final class Sent {
        private(set) var counts: [SocketAddress: Int] = [:]
        /// And came from each.
        private(set) var arrived: [SocketAddress: Int] = [:]

        init(_ world: MainlineWorld, from ip: IPAddress) {
            world.network.onEvent = { [self] event, from, to, _ in
                if case .sent = event, from.ip == ip { counts[to, default: 0] += 1 }
                if case .arrived = event, to.ip == ip { arrived[from, default: 0] += 1 }
            }
        }
    }

    private func network(_ seed: UInt64, honest: Int = 200) -> MainlineWorld {
        let world = MainlineWorld(seed: seed)
        for _ in 0..<honest { world.add() }
        return world
    }

    private func entrances(_ world: MainlineWorld) -> [SocketAddress] { world.servers.prefix(2).map(\.contact.address) }

    @Test(arguments: [1, 2, 3] as [UInt64]) func whatOneStoresAnotherFindsThroughLoss(seed: UInt64) async throws {
        let world = network(seed)
        world.acquaint()
        world.network.link.loss = 0.05
        world.network.link.jitter = .milliseconds(40)
        try await world.network.run {
            let (here, there) = (world.client(entrances: entrances(world)), world.client(entrances: entrances(world)))
            for round in 0..<4 {
                let item = try world.item(salt: round.isMultiple(of: 2) ? [] : [UInt8(round)])
                #expect(await there.store(item) >= 4)
                var found: [MutableItem] = []
                let counts = await here.findItem(item.publicKey + item.salt, within: .seconds(15)) { found.append($0) }
                #expect(!found.isEmpty && found.allSatisfy { $0 == item && $0.isSigned })
                #expect(counts.asked <= 60 && counts.answered >= 8)
            }
            // It says that it answers nothing.
            #expect(world.servers.compactMap(\.last).allSatisfy { $0["ro"] == .integer(1) })
            here.stop()
            there.stop()
        }
    }

    /// Forty nodes right beside the item, which know each other and give nothing: their ids don't follow from their addresses.
    @Test func nodesThatPlaceThemselvesBesideAnItemHideNothing() async throws {
        let world = network(4)
        let item = try world.item()
        let target = MainlineID(ofItem: item.publicKey)
        for _ in 0..<40 { world.add(.withholding, id: world.random(near: target, sharing: 6)) }
        world.acquaint()
        await world.network.run {
            let there = world.client(entrances: entrances(world))
            #expect(await there.store(item) >= 8)
            #expect(world.servers.count { $0.contact.isVerified && $0.items[target] != nil } >= 8)
            #expect(await world.client(entrances: entrances(world)).find(item).contains(item))
        }
    }

    /// The first that is asked names where nobody may send anything on its word.
    @Test func nothingGoesWhereStrangersHaveNoWord() async throws {
        let world = network(5)
        let item = try world.item()
        let target = MainlineID(ofItem: item.publicKey)
        let forbidden = [
            "127.0.0.1:7000", "192.168.1.1:7000", "10.1.2.3:7000", "169.254.1.1:7000", "100.64.1.1:7000",
            "224.0.0.1:7000",
            "0.0.0.0:7000", "255.255.255.255:7000", "45.9.9.9:53", "45.9.9.9:123", "45.9.9.9:0", "45.9.9.9:1023",
        ].compactMap { try? HostPort($0) }.compactMap { place in
            if case .ip(let ip)? = place.host { SocketAddress(ip, port: place.port) } else { nil }
        }
        #expect(forbidden.count == 12)
        let named = forbidden.map { MainlineContact(world.random(near: target, sharing: 8), at: $0) }
        world.acquaint()
        let liar = world.add(.naming(named))
        await world.network.run {
            let address = world.address()
            let sent = Sent(world, from: address.ip)
            let client = world.client(entrances: [liar.contact.address] + entrances(world), at: address)
            #expect(await client.store(item) >= 8)
            #expect(liar.asked["find_node"] == 1)
            #expect(forbidden.allSatisfy { sent.counts[$0] == nil })
            client.stop()
        }
    }

    /// Liars name hosts that never asked for it, with ids that lie at the item, on many ports: what reaches one of them is
    /// bounded, also over many lookups.
    @Test func whoIsNamedByLiarsHearsLittle() async throws {
        let world = network(6)
        let item = try world.item()
        let target = MainlineID(ofItem: item.publicKey)
        let victim = IPAddress(v4: 0x2d77_0101)
        let liars = (0..<20).map { round in
            let named = (0..<8).map { port in
                MainlineContact(
                    world.random(near: target, sharing: 10),
                    at: SocketAddress(victim, port: UInt16(7_000 + 8 * round + port)))
            }
            return world.add(.naming(named), id: world.random(near: target, sharing: 4))
        }
        world.acquaint()
        await world.network.run {
            let address = world.address()
            let sent = Sent(world, from: address.ip)
            let client = world.client(entrances: liars.map(\.contact.address), at: address)
            // Who is asked first is a liar, and eight of them.
            _ = await client.store(item)
            let first = sent.counts.filter { $0.key.ip == victim }.values.reduce(0, +)
            #expect((1...MainlineCandidates.perAddress).contains(first))
            for _ in 0..<5 { _ = await client.find(item) }
            let later = sent.counts.filter { $0.key.ip == victim }
            #expect(
                later.values.allSatisfy { $0 <= 1 } && later.values.reduce(0, +) <= 6 * MainlineCandidates.perAddress)
            client.stop()
        }
    }

    /// One of the entrances makes up nodes nearer to the item than any is, which never answer.
    @Test func madeUpNodesDelayNothingForLong() async throws {
        let world = network(7)
        let item = try world.item()
        let target = MainlineID(ofItem: item.publicKey)
        let madeUp = (0..<16).map { _ in
            MainlineContact(world.random(near: target, sharing: 12), at: world.address())
        }
        world.acquaint()
        let liar = world.add(.naming(madeUp), id: target)
        for server in world.servers where server !== liar { server.known.append(liar.contact) }
        await world.network.run {
            let there = world.client(entrances: entrances(world))
            let start = world.network.now
            #expect(await there.store(item) >= 8)
            #expect(world.network.now.duration(since: start) < .seconds(15))
            #expect(await world.client(entrances: entrances(world)).find(item).contains(item))
        }
    }

    @Test func nodesWithoutBEP44LeadOn() async throws {
        let world = MainlineWorld(seed: 8)
        for index in 0..<150 { world.add(index.isMultiple(of: 2) ? .plain : .honest) }
        world.acquaint()
        try await world.network.run {
            let item = try world.item()
            #expect(await world.client(entrances: entrances(world)).store(item) >= 8)
            #expect(await world.client(entrances: entrances(world)).find(item).contains(item))
        }
    }

    @Test func theNewestIsFoundBesideOlderOnes() async throws {
        let world = network(9)
        world.acquaint()
        try await world.network.run {
            let key = IdentityKey.generate()
            let (old, new) = (try world.item(seq: 5, by: key), try world.item(seq: 6, by: key))
            let client = world.client(entrances: entrances(world))
            _ = await client.store(old)
            #expect(await client.store(new) >= 8)
            // It is refused what is older than what is there.
            #expect(await client.store(old) == 0)
            #expect(await client.find(old).map(\.seq).max() == 6)
            #expect(client.keptCount == 1)
            client.stop()
        }
    }

    // MARK: Quiet

    /// Two entrances that never answer, and an item that is to be stored, for two hours.
    @Test func whereNobodyAnswersLittleIsSent() async throws {
        let world = MainlineWorld(seed: 10)
        let dead = [world.address(), world.address()]
        try await world.network.run {
            let address = world.address()
            let sent = Sent(world, from: address.ip)
            let client = world.client(entrances: dead, at: address)
            #expect(await client.store(try world.item()) == 0)
            #expect(sent.counts.values.reduce(0, +) == 2)
            // Who asks meanwhile is not answered for lack of anybody who is.
            let counts = await client.findItem([UInt8](repeating: 1, count: 32), within: .seconds(5)) { _ in }
            #expect(counts == (0, 0) && sent.counts.values.reduce(0, +) == 2)
            try await world.network.sleep(for: .seconds(7_200))
            #expect((10...40).contains(sent.counts.values.reduce(0, +)))
            client.stop()
        }
    }

    @Test func whatNobodyTookIsPutWhenSomebodyIsThere() async throws {
        let world = network(11, honest: 20)
        world.acquaint()
        try await world.network.run {
            world.network.filter = { _, _, _ in false }
            let client = world.client(entrances: entrances(world))
            let item = try world.item()
            #expect(await client.store(item) == 0)
            world.network.filter = nil
            client.networkChanged()
            try await world.network.sleep(for: .seconds(30))
            let holders = { world.servers.count { $0.items[MainlineID(ofItem: item.publicKey)] != nil } }
            #expect(holders() >= 8)
            // And again each hour, until it is withdrawn.
            for server in world.servers { server.items = [:] }
            try await world.network.sleep(for: .seconds(3_700))
            #expect(holders() >= 8)
            client.withdraw(item.publicKey)
            for server in world.servers { server.items = [:] }
            try await world.network.sleep(for: .seconds(7_300))
            #expect(holders() == 0)
            client.stop()
        }
    }

    // MARK: Who is heard

    /// It neither answers questions nor takes answers from elsewhere, or to what it has not asked.
    @Test func strangersAreNotHeard() async throws {
        let world = network(12, honest: 12)
        world.acquaint()
        let stranger = world.add()
        try await world.network.run {
            let address = world.address()
            let sent = Sent(world, from: address.ip)
            let item = try world.item()
            let client = world.client(entrances: entrances(world), at: address)
            _ = await client.store(item)
            let known = client.knownCount
            let task = SharedTask { await client.find(item) }
            let entries: Bencode = ["id": .bytes(stranger.contact.id.bytes), "nodes": .bytes(stranger.contact.compact)]
            for body in [("r", "r"), ("q", "a")] {
                for number in [[], [1, 2, 3, 4, 5, 6]] as [[UInt8]] {
                    stranger.send(
                        .dictionary([
                            Array("y".utf8): .text(body.0), Array(body.1.utf8): entries,
                            Array("t".utf8): .bytes(number),
                            Array("q".utf8): .text("ping"),
                        ]), to: address)
                }
            }
            #expect(try await task.value().contains(item))
            #expect(sent.arrived[stranger.contact.address] == 4)
            #expect(sent.counts[stranger.contact.address] == nil && client.knownCount == known)
            client.stop()
        }
    }

    /// A run remembers who answered the one before, and needs no entrance then.
    @Test func nodesAreRememberedBetweenRuns() async throws {
        let world = network(13)
        world.acquaint()
        try await world.network.run {
            let storage = MemoryStorage(clock: world.world.wallClock)
            let memory = { MainlineMemory(storage, writes: true, wallClock: world.world.wallClock) }
            let item = try world.item()
            let first = world.client(entrances: entrances(world), memory: memory())
            #expect(await first.store(item) >= 8)
            first.stop()
            let second = world.client(entrances: [], memory: memory())
            #expect(await second.find(item).contains(item))
            second.stop()
            // Nothing is written for who is not to be remembered.
            let other = MemoryStorage(clock: world.world.wallClock)
            let silent = world.client(
                entrances: entrances(world),
                memory: MainlineMemory(other, writes: false, wallClock: world.world.wallClock))
            #expect(await silent.store(item) >= 8)
            #expect(other.entries(in: MainlineMemory.table).isEmpty)
            silent.stop()
        }
    }

    @Test func lookupsAtOnceAreBounded() async throws {
        let world = network(14, honest: 20)
        world.acquaint()
        try await world.network.run {
            let client = world.client(entrances: entrances(world))
            _ = await client.store(try world.item())
            let most = MainlineNode.lookupLimit + MainlineNode.waitingLimit
            let tasks = (0..<2 * most).map { index in
                SharedTask {
                    await client.findItem([UInt8](repeating: UInt8(index), count: 32), within: .seconds(9)) { _ in }
                }
            }
            var answered = 0
            for task in tasks where try await task.value().answered > 0 { answered += 1 }
            #expect(answered == most)
            // And those that were given up have taken nobody's turn.
            let given = (0..<most).map { index in
                SharedTask {
                    await client.findItem([UInt8](repeating: UInt8(index), count: 32), within: .milliseconds(1)) { _ in
                    }
                }
            }
            for task in given { _ = try await task.value() }
            #expect(await client.findItem([UInt8](repeating: 1, count: 32), within: .seconds(9)) { _ in }.answered > 0)
            client.stop()
        }
    }
}
