import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PQUIC
@testable import DeP2PReach
@testable import DeP2PSessions

/// What authenticated peers and strangers can make a node send.
@Suite(.serialized, .timeLimit(.minutes(2))) @NetworkActor struct HostilePeerTests {
    private static let victim = v4(45, 99, 0, 1, 53)

    private final class Counts {
        var toVictim = 0
        var toNobody = 0
    }

    /// Answers every round with candidates that are others' addresses.
    private func lie(_ node: RelayNode, _ candidates: [Candidate]) {
        node.connections.registry.register(HolePunch.id, deadline: .unlimited(because: "a test")) { _, stream in
            let reader = FrameReader(stream, limit: HolePunchMessage.limit)
            _ = try await reader.requiredPunch()
            try await stream.write(.answer(HolePunchMessage.Offer(candidates: candidates, hostMark: [])))
            while try await reader.next() != nil {}
        }
    }

    @Test("peers that name a victim get no more out of a node than its budget, however many they are")
    func victims() async throws {
        try await withPunchNetwork(seed: 20) { world in
            let near = try world.node(.open)
            let nobody = [v4(224, 0, 0, 251, 5353), v4(255, 255, 255, 255, 9), v4(0, 0, 0, 0, 9), v4(10, 9, 9, 9, 80)]
            let candidates =
                nobody.map { Candidate(.interface, $0) }
                + (0..<12).map {
                    Candidate(.predicted, SocketAddress(Self.victim.ip, port: 1 + $0 * 16), step: 1, count: 16)
                }
            let counts = Counts()
            world.network.filter = { bytes, _, to in
                if to.ip == Self.victim.ip { counts.toVictim += 1 }
                if nobody.contains(to) { counts.toNobody += 1 }
                return true
            }
            var sessions: [Session] = []
            for number in 0..<4 {
                let liar = try world.relayNode(at: v4(45, 50, UInt8(number), 1, 4001))
                lie(liar, candidates)
                liar.client.use(world.relay.address)
                #expect(try await world.wait(atMost: .seconds(5)) { !liar.client.standing.isEmpty })
                sessions.append(try await near.node.connect(try #require(liar.client.standing.first?.address)))
                world.liars.append(liar)
            }
            let start = world.network.now
            try await world.network.sleep(for: .seconds(600))
            let seconds = Int(world.network.now.duration(since: start).seconds) + 10
            #expect(counts.toVictim > 0 && counts.toVictim <= ProbeBudget.burst + ProbeBudget.rate * seconds)
            #expect(counts.toNobody == 0)
            #expect(sessions.allSatisfy { $0.isOpen && !$0.path.isStraight })
        }
    }

    @Test("forged, repeated and oversized probes are not answered")
    func strangers() async throws {
        try await withPunchNetwork(seed: 21) { world in
            let (near, far) = (try world.node(.open), try world.node(.fullCone))
            let attacker = DatagramSocket(world.network.makeDriver(address: v4(45, 66, 0, 1, 1_000)))
            defer { attacker.close() }
            let heard = Counts()
            attacker.onDatagram = { _ in heard.toVictim += 1 }
            var random = SplitMix64(seed: 4)
            var recorded: [[UInt8]] = []
            world.network.filter = { bytes, _, to in
                if bytes.first == DatagramKind.pathProbeByte, to == near.node.socket { recorded.append(bytes) }
                return true
            }
            let (session, _) = try await world.connect(near, far)
            #expect(try await world.wait(atMost: .seconds(3)) { session.path.isStraight })
            try await world.network.sleep(for: .seconds(5))
            #expect(!recorded.isEmpty)
            for packet in recorded {
                attacker.send(packet, to: near.node.socket)
                for mutated in mutations(of: packet, rounds: 20, seed: random.next()) where mutated.first == 0x20 {
                    attacker.send(mutated, to: near.node.socket)
                }
                attacker.send(packet + random.bytes(1_000), to: near.node.socket)
            }
            try await world.network.sleep(for: .seconds(5))
            #expect(heard.toVictim == 0)
            #expect(session.isOpen && session.path.isStraight)
        }
    }

    private static let inside = [v4(127, 0, 0, 1, 631), v4(192, 168, 1, 1, 53), v4(10, 9, 9, 9, 22)]

    /// Counts what goes to addresses inside.
    private func watch(_ world: PunchNetwork) -> Counts {
        let counts = Counts()
        world.network.filter = { _, _, to in
            if Self.inside.contains(to) { counts.toVictim += 1 }
            return true
        }
        return counts
    }

    @Test("a stranger who sends the host mark back is not on this machine, and learns nothing of the inside")
    func echoedMarkOfAClient() async throws {
        try await withPunchNetwork(seed: 22) { world in
            world.areMembers = false
            let near = try world.node(.portRestricted)
            let liar = try world.relayNode(at: v4(45, 50, 0, 1, 4001))
            world.liars.append(liar)
            let counts = watch(world)
            var heard: [HolePunchMessage.Offer] = []
            liar.connections.registry.register(HolePunch.id, deadline: .unlimited(because: "a test")) { _, stream in
                let reader = FrameReader(stream, limit: HolePunchMessage.limit)
                guard case .offer(let offer) = try await reader.requiredPunch() else { return }
                heard.append(offer)
                // The candidates claim the victim's own address outside too: behind one NAT, as it were.
                let lies =
                    offer.candidates.filter { $0.kind == .observed } + Self.inside.map { Candidate(.interface, $0) }
                try await stream.write(.answer(HolePunchMessage.Offer(candidates: lies, hostMark: offer.hostMark)))
                while try await reader.next() != nil {}
            }
            liar.client.use(world.relay.address)
            #expect(try await world.wait(atMost: .seconds(5)) { !liar.client.standing.isEmpty })
            _ = try await near.node.connect(try #require(liar.client.standing.first?.address))
            try await world.network.sleep(for: .seconds(30))
            #expect(!heard.isEmpty && heard.allSatisfy { !$0.candidates.isEmpty })
            #expect(heard.flatMap(\.candidates).allSatisfy { $0.address.ip.isGlobal })
            #expect(counts.toVictim == 0)
        }
    }

    @Test("nor is one who dials, with a mark of the same connection's other side")
    func echoedMarkOfAServer() async throws {
        try await withPunchNetwork(seed: 23) { world in
            world.areMembers = false
            let near = try world.node(.portRestricted)
            let liar = try world.relayNode(at: v4(45, 50, 0, 1, 4001))
            world.liars.append(liar)
            let counts = watch(world)
            near.node.client.use(world.relay.address)
            #expect(try await world.wait(atMost: .seconds(5)) { !near.node.client.standing.isEmpty })
            let session = try await liar.connect(try #require(near.node.client.standing.first?.address))
            var mark: [UInt8] = []
            for _ in 0..<3 {
                let stream = try await session.openStream(HolePunch.id)
                let reader = FrameReader(stream, limit: HolePunchMessage.limit)
                let lies = Self.inside.map { Candidate(.interface, $0) }
                try await stream.write(.offer(HolePunchMessage.Offer(candidates: lies, hostMark: mark)))
                guard case .answer(let answer) = try await reader.requiredPunch() else { return }
                #expect(!answer.candidates.isEmpty && answer.candidates.allSatisfy { $0.address.ip.isGlobal })
                mark = answer.hostMark
                try await stream.write(.start)
                try await world.network.sleep(for: .seconds(2))
                stream.finish()
                try await world.network.sleep(for: .seconds(1))
            }
            #expect(counts.toVictim == 0)
        }
    }

    @Test("a peer's word makes a relayed path no straight one, and names no address that it was not heard from")
    func chosenPaths() async throws {
        try await withPunchNetwork(seed: 25) { world in
            let near = try world.node(.portRestricted)
            let liar = try world.relayNode(at: v4(45, 50, 0, 1, 4001))
            world.liars.append(liar)
            near.node.client.use(world.relay.address)
            #expect(try await world.wait(atMost: .seconds(5)) { !near.node.client.standing.isEmpty })
            let session = try await liar.connect(try #require(near.node.client.standing.first?.address))
            #expect(try await world.wait(atMost: .seconds(1)) { near.node.connections.sessions.count == 2 })
            let far = try #require(near.node.connections.session(with: liar.nodeID))
            let relayed = try #require(far.path.remote)
            for (claim, isDirect) in [(relayed, true), (Self.victim, false)] {
                let stream = try await session.openStream(HolePunch.id)
                let reader = FrameReader(stream, limit: HolePunchMessage.limit)
                try await stream.write(.offer(HolePunchMessage.Offer(candidates: [], hostMark: [])))
                _ = try await reader.requiredPunch()
                try await stream.write(.start)
                try await stream.write(.chosen(claim, isDirect: isDirect))
                stream.finish()
                try await world.network.sleep(for: .seconds(2))
                #expect(far.path.kind == .relay(world.relay.nodeID))
                #expect(far.path.peerAddress == nil)
            }
            // Nothing was noted of the address that nothing came from: a path to it would be what any other is.
            #expect(far.connection.carrier?.kind(from: near.node.socket, to: Self.victim) == .direct)
        }
    }

    @Test("a member learns the addresses inside, and is met there")
    func members() async throws {
        try await withPunchNetwork(seed: 24) { world in
            let near = try world.node(.portRestricted)
            near.gateway?.hairpins = false
            let far = try world.node(.portRestricted, inHomeOf: near)
            let (session, _) = try await world.connect(near, far)
            #expect(try await world.wait(atMost: .seconds(3)) { session.path.remote == far.node.socket })
        }
    }
}
