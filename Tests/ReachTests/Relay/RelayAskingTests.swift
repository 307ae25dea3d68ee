import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PReach
@testable import DeP2PSessions

/// What asking a relay over another session does, and must not do.
@Suite(.serialized, .timeLimit(.minutes(2))) @NetworkActor struct RelayAskingTests {
    /// A relay, a node that is reserved there, and one that asks.
    private func three(_ world: SimulatedWorld, leftRelays: Bool = false) async throws -> (
        relay: RelayNode, left: RelayNode, right: RelayNode
    ) {
        let relay = try world.relayNode(relay: RelayLimits())
        let left = try world.relayNode(relay: leftRelays ? RelayLimits() : nil)
        let right = try world.relayNode()
        right.client.use(relay.address)
        #expect(try await world.wait(atMost: .seconds(5)) { !right.client.standing.isEmpty })
        return (relay, left, right)
    }

    private func sessions(_ node: RelayNode, with other: RelayNode) -> [Session] {
        node.connections.sessions.filter { $0.remoteNodeID == other.nodeID }
    }

    /// What happens to the way to the relay for a moment.
    enum Hiccup: CaseIterable, Sendable { case gone, slow }

    private func hiccup(_ kind: Hiccup, _ world: SimulatedWorld, _ left: RelayNode, _ right: RelayNode) {
        switch kind {
        case .gone: world.block(left, right)
        case .slow:
            var link = SimulatedNetwork.Link()
            link.latency = .milliseconds(500)
            world.network.links[.init(from: left.socket.ip, to: right.socket.ip)] = link
            world.network.links[.init(from: right.socket.ip, to: left.socket.ip)] = link
        }
    }

    @Test("a session that an application holds survives a moment's silence", arguments: Hiccup.allCases)
    func heldSession(kind: Hiccup) async throws {
        let world = SimulatedWorld.near(seed: 101)
        try await world.run {
            let (relay, left, right) = try await three(world)
            let held = try await left.connect(relay.address)
            held.isAskedFor = true
            try await world.network.sleep(for: .seconds(10))
            hiccup(kind, world, left, relay)
            let task = networkTask { try await left.client.connect(to: right.nodeID, via: relay.address) }
            try await world.network.sleep(for: kind == .gone ? .milliseconds(1_500) : .seconds(4))
            world.network.links = [:]
            let connection = try await task.value
            try await world.network.sleep(for: .seconds(5))
            #expect(held.isOpen, "\(String(describing: held.end))")
            connection.close(code: 0, reason: "")
            try await world.network.sleep(for: .seconds(60))
            #expect(held.isOpen, "\(String(describing: held.end))")
            for node in [relay, left, right] { node.stop() }
        }
    }

    @Test("a session that the relay holds a reservation on survives a moment's silence")
    func reservedByTheOther() async throws {
        let world = SimulatedWorld.near(seed: 102)
        try await world.run {
            let (relay, left, right) = try await three(world, leftRelays: true)
            relay.client.use(left.address)
            #expect(try await world.wait(atMost: .seconds(5)) { !relay.client.standing.isEmpty })
            let inbound = try #require(left.connections.session(with: relay.nodeID))
            #expect(inbound.commitments == 1)
            try await world.network.sleep(for: .seconds(10))
            world.block(left, relay)
            let task = networkTask { try await left.client.connect(to: right.nodeID, via: relay.address) }
            try await world.network.sleep(for: .milliseconds(1_200))
            world.network.links = [:]
            _ = try await task.value
            try await world.network.sleep(for: .seconds(5))
            #expect(inbound.isOpen, "\(String(describing: inbound.end))")
            let lost = relay.clientEvents.contains { if case .lost = $0 { true } else { false } }
            #expect(!lost)
            for node in [relay, left, right] { node.stop() }
        }
    }

    /// Drops what belongs to connections between the two that there are now.
    private func mute(_ world: SimulatedWorld, _ left: RelayNode, _ right: RelayNode, at cut: NetworkInstant) {
        var before: Set<[UInt8]> = []
        world.network.filter = { bytes, from, to in
            guard [from.ip, to.ip].allSatisfy([left.socket.ip, right.socket.ip].contains) else { return true }
            guard let first = bytes.first, first < 0x80 else { return true }
            let id = Array(bytes.dropFirst().prefix(8))
            if world.network.now < cut { before.insert(id) }
            return world.network.now < cut || !before.contains(id)
        }
    }

    /// The relay waits for its answer from the target, who is gone: it has nothing to say meanwhile.
    @Test("a session by which a relay was reached anew is not closed under what others do on it")
    func usedByOthers() async throws {
        let world = SimulatedWorld.near(seed: 120)
        try await world.run {
            let (relay, left, right) = try await three(world)
            let name = "/dep2p/sys/test/1.0.0"
            relay.connections.registry.register(name, deadline: .unlimited(because: "a test")) {
                [network = world.network] _, stream in
                try await network.sleep(for: .seconds(4))
                try await stream.write(Chunk([1]))
                stream.finish()
            }
            let cut = world.network.now.advanced(by: .seconds(5))
            mute(world, left, relay, at: cut)
            _ = try await left.connect(relay.address)
            try await world.network.sleep(for: cut.duration(since: world.network.now))
            world.block(relay, right)
            // A path was in doubt: the session is known to be silent.
            left.client.doubt([relay.nodeID])
            try await world.network.sleep(for: .milliseconds(1_200))
            let detour = networkTask {
                _ = try await left.clock.withDeadline(PunchLink.detourDeadline) {
                    try await left.client.openCircuit(
                        to: right.nodeID, via: relay.nodeID, at: [relay.address], again: [])
                }
            }
            #expect(try await world.wait(atMost: .seconds(2)) { sessions(left, with: relay).count == 2 })
            let session = try #require(left.connections.session(with: relay.nodeID))
            let stream = try await session.openStream(name)
            stream.finish()
            _ = await detour.result
            #expect(session.isOpen, "\(String(describing: session.end))")
            #expect((try? await stream.read())?.count == 1)
            for node in [relay, left, right] { node.stop() }
        }
    }

    @Test("a relay that refuses while the session before is silent is not left with a heap of sessions")
    func refusedAnew() async throws {
        let world = SimulatedWorld.near(seed: 103)
        try await world.run {
            let relay = try world.relayNode(relay: RelayLimits())
            let left = try world.relayNode()
            let cut = world.network.now.advanced(by: .seconds(10))
            mute(world, left, relay, at: cut)
            left.client.use(relay.address)
            #expect(try await world.wait(atMost: .seconds(5)) { !left.client.standing.isEmpty })
            let first = left.connections.session(with: relay.nodeID)?.id
            try await world.network.sleep(for: cut.duration(since: world.network.now))
            relay.service?.limits.reservations = 0
            var most = 0
            let opens = world.network.now.advanced(by: .seconds(6))
            while world.network.now < opens {
                most = max(most, sessions(left, with: relay).count)
                try await world.network.sleep(for: .milliseconds(10))
            }
            relay.service?.limits.reservations = 1_024
            #expect(
                try await world.wait(atMost: .seconds(60)) { (left.client.relays[0].session?.id ?? first) != first })
            #expect(most <= 3)
            #expect(world.network.now.duration(since: opens) < .seconds(2))
            let tellsLimit = left.clientEvents.contains {
                if case .refused(_, let reason, _) = $0 { reason.contains("connections with one node") } else { false }
            }
            #expect(!tellsLimit)
            for node in [relay, left] { node.stop() }
        }
    }

    @Test("a relay that is back is found as soon though somebody else dials it too", arguments: [true, false])
    func backSoon(other: Bool) async throws {
        let world = SimulatedWorld.near(seed: 104)
        try await world.run {
            let (relay, left, right) = try await three(world)
            _ = try await left.connect(relay.address)
            try await world.network.sleep(for: .seconds(10))
            world.block(left, relay)
            let start = world.network.now
            let user = networkTask {
                if other { _ = try? await left.client.connect(to: right.nodeID, via: relay.address) }
            }
            let task = networkTask {
                // As a link that has lost its path.
                while true {
                    let made = try? await left.clock.withDeadline(PunchLink.detourDeadline) {
                        try await left.client.openCircuit(
                            to: right.nodeID, via: relay.nodeID, at: [relay.address], again: PunchLink.detourPauses)
                    }
                    if let made { return (made.way, left.clock.now) }
                    try await left.clock.sleep(for: .milliseconds(250))
                }
            }
            try await world.network.sleep(for: .milliseconds(3_900))
            world.network.links = [:]
            let (way, time) = try await task.value
            #expect(time.duration(since: start) < .milliseconds(3_900) + .milliseconds(800))
            way.end()
            _ = await user.value
            for node in [relay, left, right] { node.stop() }
        }
    }

    /// As a link that has lost its path.
    private func lostPath(
        _ left: RelayNode, _ right: RelayNode, _ relay: RelayNode, after pause: Duration
    ) -> Task<(way: CircuitWay, at: NetworkInstant), any Error> {
        networkTask { () async throws -> (way: CircuitWay, at: NetworkInstant) in
            try await left.clock.sleep(for: pause)
            while true {
                do {
                    let made = try await left.clock.withDeadline(PunchLink.detourDeadline) {
                        try await left.client.openCircuit(
                            to: right.nodeID, via: relay.nodeID, at: [relay.address], again: PunchLink.detourPauses)
                    }
                    return (made.way, left.clock.now)
                } catch {
                    try await left.clock.sleep(for: .milliseconds(250))
                }
            }
        }
    }

    @Test("a relay that is back is found as soon by several links that lost it at different times", arguments: 1...4)
    func backSoonForAll(links: Int) async throws {
        let world = SimulatedWorld.near(seed: 106)
        try await world.run {
            let (relay, left, right) = try await three(world)
            _ = try await left.connect(relay.address)
            try await world.network.sleep(for: .seconds(10))
            world.block(left, relay)
            let start = world.network.now
            let tasks = (0..<links).map { lostPath(left, right, relay, after: .milliseconds(Int64($0) * 330)) }
            try await world.network.sleep(for: .milliseconds(4_100))
            world.network.links = [:]
            var last = Duration.zero
            for task in tasks {
                let (way, time) = try await task.value
                last = max(last, time.duration(since: start) - .milliseconds(4_100))
                way.end()
            }
            #expect(last < .milliseconds(500), "\(last)")
            for node in [relay, left, right] { node.stop() }
        }
    }

    @Test("who asks is let go at once when cancelled, or when the node stops", arguments: [true, false])
    func cancelled(stops: Bool) async throws {
        let world = SimulatedWorld.near(seed: 107)
        try await world.run {
            let (relay, left, right) = try await three(world)
            _ = try await left.connect(relay.address)
            try await world.network.sleep(for: .seconds(10))
            for pause in stops ? [900] : [100, 500, 900, 1_500, 3_000] {
                world.block(left, relay)
                let task: Task<String, Never> = networkTask { () async -> String in
                    do {
                        _ = try await left.client.connect(to: right.nodeID, via: relay.address)
                        return "connected"
                    } catch {
                        return "\(error)"
                    }
                }
                try await world.network.sleep(for: .milliseconds(Int64(pause)))
                let start = world.network.now
                if stops { left.stop() } else { task.cancel() }
                #expect(await task.value != "connected")
                #expect(world.network.now.duration(since: start) < .milliseconds(10))
                #expect(left.connections.dialCount == 0)
                world.network.links = [:]
                try await world.network.sleep(for: .seconds(3))
            }
            for node in [relay, left, right] { node.stop() }
        }
    }

    @Test("a session that dies just after it was heard is left as soon as another", arguments: [100, 2_000])
    func justHeard(milliseconds: Int) async throws {
        let world = SimulatedWorld.near(seed: 109)
        try await world.run {
            let (relay, left, right) = try await three(world)
            let cut = world.network.now.advanced(by: .milliseconds(Int64(milliseconds) + 50))
            mute(world, left, relay, at: cut)
            _ = try await left.connect(relay.address)
            try await world.network.sleep(for: cut.duration(since: world.network.now))
            let start = world.network.now
            await #expect(throws: Never.self) {
                _ = try await left.client.connect(to: right.nodeID, via: relay.address)
            }
            #expect(world.network.now.duration(since: start) < .seconds(2))
            for node in [relay, left, right] { node.stop() }
        }
    }

    @Test("a reservation is asked for over another session than one that is dead")
    func reservationOverADeadSession() async throws {
        let world = SimulatedWorld.near(seed: 110)
        try await world.run {
            let (relay, left, right) = try await three(world)
            let cut = world.network.now.advanced(by: .seconds(5))
            mute(world, left, relay, at: cut)
            _ = try await left.connect(relay.address)
            try await world.network.sleep(for: cut.duration(since: world.network.now))
            let start = world.network.now
            left.client.use(relay.address)
            #expect(try await world.wait(atMost: .seconds(20)) { !left.client.standing.isEmpty })
            #expect(world.network.now.duration(since: start) < .seconds(2))
            for node in [relay, left, right] { node.stop() }
        }
    }

    /// It has forgotten the session, and says so (RFC 9000 10.3).
    @Test("a relay that was restarted is dialled anew by who asks it for a circuit")
    func restarted() async throws {
        let world = SimulatedWorld.near(seed: 105)
        try await world.run {
            let (relay, left, right) = try await three(world)
            _ = try await left.connect(relay.address)
            try await world.network.sleep(for: .seconds(5))
            relay.vanish()
            let again = try world.relayNode(key: relay.key, at: relay.socket, relay: RelayLimits())
            #expect(
                try await world.wait(atMost: .seconds(20)) {
                    again.connections.session(with: right.nodeID) != nil && !right.client.standing.isEmpty
                })
            let start = world.network.now
            let connection = try await left.client.connect(to: right.nodeID, via: relay.address)
            #expect(world.network.now.duration(since: start) < .seconds(1))
            connection.close(code: 0, reason: "")
            for node in [again, left, right] { node.stop() }
        }
    }
}

extension RelayNode {
    fileprivate var clock: any NetworkClock { connections.clock }
}
