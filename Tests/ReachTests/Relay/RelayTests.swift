import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PReach
@testable import DeP2PSessions

/// Reservations and circuits end to end, on virtual time.
@Suite(.serialized, .timeLimit(.minutes(2)))
@NetworkActor
struct RelayTests {
    @Test func aNodeIsReachedThroughItsRelay() async throws {
        let world = SimulatedWorld.near(seed: 1)
        try await world.run {
            let relay = try world.relayNode(relay: RelayLimits())
            let (left, right) = (try world.relayNode(), try world.relayNode())
            world.block(left, right)
            right.client.use(relay.address)
            #expect(try await world.wait(atMost: .seconds(2)) { !right.client.standing.isEmpty })
            let address = try #require(right.client.standing.first?.address)
            #expect("\(address)" == "\(relay.address)/p2p-circuit/p2p/\(right.nodeID)")
            let session = try await left.connect(address)
            #expect(session.remoteNodeID == right.nodeID)
            #expect(session.path.kind == .relay(relay.nodeID))
            #expect(session.attempts.map(\.stage) == [.relay] && session.attempts.map(\.outcome) == [.connected])
            let pinger = try await Ping.open(session)
            #expect(try await pinger.ping(timeout: .seconds(2)) >= .milliseconds(20))
            #expect(right.connections.session(with: left.nodeID)?.path.kind == .relay(relay.nodeID))
            #expect(relay.service?.statistics.circuits == 1)
            session.close(.normal)
            #expect(try await world.wait(atMost: .seconds(2)) { relay.service?.statistics.circuits == 0 })
            let ended = relay.serviceEvents.contains {
                if case .closed(_, left.nodeID, right.nodeID, let bytes, .closed) = $0 { bytes > 2_000 } else { false }
            }
            #expect(ended)
        }
    }

    @Test func directAddressesAreTriedBeforeRelays() async throws {
        let world = SimulatedWorld.near(seed: 2)
        try await world.run {
            let relay = try world.relayNode(relay: RelayLimits())
            let (left, right) = (try world.relayNode(), try world.relayNode())
            right.client.use(relay.address)
            #expect(try await world.wait(atMost: .seconds(2)) { !right.client.standing.isEmpty })
            let addresses = [right.client.standing[0].address, right.address]
            let session = try await left.connections.connect(to: DialTarget(addresses: addresses))
            #expect(session.path.kind == .direct)
            #expect(relay.service?.statistics.openedCircuits == 0)
        }
    }

    @Test func withoutAReservationTheReasonIsNamed() async throws {
        let world = SimulatedWorld.near(seed: 3)
        try await world.run {
            let relay = try world.relayNode(relay: RelayLimits())
            let (left, right) = (try world.relayNode(), try world.relayNode())
            await #expect(throws: RelayError(.noReservation)) {
                _ = try await left.client.connect(to: right.nodeID, via: relay.address)
            }
            let address = try Address("\(relay.address)/p2p-circuit/p2p/\(right.nodeID)")
            do {
                _ = try await left.connect(address)
                Issue.record("a circuit to nobody")
            } catch let error as ConnectError {
                #expect(error.code == .peerAbsent && error.reason.contains("no reservation"))
                #expect(error.attempts.map(\.outcome) == [.peerAbsent])
            }
            await #expect(throws: RelayError(.notARelay)) {
                _ = try await left.client.connect(to: relay.nodeID, via: right.address)
            }
        }
    }

    @Test func onlyTheReservedRelayMayBringCircuits() async throws {
        let world = SimulatedWorld.near(seed: 4)
        try await world.run {
            let relay = try world.relayNode(relay: RelayLimits())
            let stranger = try world.relayNode()
            let right = try world.relayNode()
            right.client.use(relay.address)
            #expect(try await world.wait(atMost: .seconds(2)) { !right.client.standing.isEmpty })
            let session = try await stranger.connect(right.address)
            let stream = try await session.openStream(RelayProtocol.id)
            let grant = CircuitGrant(id: 7, terms: RelayTerms(), datagramSize: nil)
            try await stream.write(.incoming(relay.nodeID, grant))
            #expect(try await FrameReader(stream, limit: 100).nextMessage() == .answer(false))
        }
    }

    @Test func theTargetMayRefuse() async throws {
        let world = SimulatedWorld.near(seed: 5)
        try await world.run {
            let relay = try world.relayNode(relay: RelayLimits())
            let (left, right) = (try world.relayNode(), try world.relayNode())
            right.client.accepts = { _ in false }
            right.client.use(relay.address)
            #expect(try await world.wait(atMost: .seconds(2)) { !right.client.standing.isEmpty })
            await #expect(throws: RelayError(.refusedByTarget)) {
                _ = try await left.client.connect(to: right.nodeID, via: relay.address)
            }
            #expect(relay.service?.statistics.circuits == 0)
        }
    }

    @Test func aRelayOfARealmServesItsMembersOnly() async throws {
        let world = SimulatedWorld.near(seed: 6)
        try await world.run {
            let relay = try world.relayNode(relay: RelayLimits(), membersOnly: true)
            let (left, right) = (try world.relayNode(), try world.relayNode())
            relay.connections.onSession { session in
                if session.remoteNodeID == right.nodeID { session.endAdmission(admitted: true) }
            }
            left.client.use(relay.address)
            right.client.use(relay.address)
            #expect(try await world.wait(atMost: .seconds(2)) { !right.client.standing.isEmpty })
            #expect(left.client.standing.isEmpty)
            #expect(
                left.clientEvents.first == .refused(relay.address, reason: "\(RelayError(.notAllowed))", remedy: nil))
            await #expect(throws: RelayError(.notAllowed)) {
                _ = try await left.client.connect(to: right.nodeID, via: relay.address)
            }
        }
    }

    @Test func bothSidesAreToldWhichLimitEndedTheCircuit() async throws {
        let world = SimulatedWorld.near(seed: 7)
        try await world.run {
            var limits = RelayLimits()
            limits.circuitBytes = 100_000
            let relay = try world.relayNode(relay: limits)
            let (left, right) = (try world.relayNode(), try world.relayNode())
            right.client.use(relay.address)
            #expect(try await world.wait(atMost: .seconds(2)) { !right.client.standing.isEmpty })
            #expect(right.client.standing[0].terms.bytes == 100_000)
            let session = try await left.connect(right.client.standing[0].address)
            #expect(try await world.wait(atMost: .seconds(1)) { right.connections.session(with: left.nodeID) != nil })
            let other = try #require(right.connections.session(with: left.nodeID))
            let stream = try await session.openStream("/none")
            let sender = networkTask { try await stream.write(Chunk([UInt8](repeating: 1, count: 300_000))) }
            for end in [try await session.waitClosed(), try await other.waitClosed()] {
                #expect(end.cause == .closedLocally(.relayEnded))
                #expect(end.reason.contains("bytes-per-circuit of 100000") && !end.reason.contains("--"))
            }
            sender.cancel()
            #expect(relay.service?.statistics.circuits == 0)
            #expect(try await left.connect(right.client.standing[0].address).isOpen)
        }
    }

    @Test func aCircuitsTimeEndsIt() async throws {
        let world = SimulatedWorld.near(seed: 8)
        try await world.run {
            var limits = RelayLimits()
            limits.circuitTime = .seconds(20)
            let relay = try world.relayNode(relay: limits)
            let (left, right) = (try world.relayNode(), try world.relayNode())
            right.client.use(relay.address)
            #expect(try await world.wait(atMost: .seconds(2)) { !right.client.standing.isEmpty })
            let session = try await left.connect(right.client.standing[0].address)
            let start = world.network.now
            let end = try await session.waitClosed()
            #expect(end.reason.contains("seconds-per-circuit of 20"))
            let lived = world.network.now.duration(since: start)
            #expect(lived >= .seconds(19) && lived < .seconds(23))
        }
    }

    @Test func aRestartedRelayIsReservedWithAgain() async throws {
        let world = SimulatedWorld.near(seed: 9)
        try await world.run {
            let key = IdentityKey.generate()
            let relay = try world.relayNode(key: key, relay: RelayLimits())
            let (left, right) = (try world.relayNode(), try world.relayNode())
            right.client.use(relay.address)
            #expect(try await world.wait(atMost: .seconds(2)) { !right.client.standing.isEmpty })
            let address = right.client.standing[0].address
            relay.vanish()
            let again = try world.relayNode(key: key, at: relay.socket, relay: RelayLimits())
            #expect(try await world.wait(atMost: .seconds(20)) { again.service?.statistics.reservations == 1 })
            #expect(try await left.connect(address).remoteNodeID == right.nodeID)
        }
    }

    @Test func anotherRelayTakesOverWithinFiveSeconds() async throws {
        let world = SimulatedWorld.near(seed: 10)
        try await world.run {
            let relays = try (0..<3).map { _ in try world.relayNode(relay: RelayLimits()) }
            let (left, right) = (try world.relayNode(), try world.relayNode())
            for relay in relays { right.client.use(relay.address) }
            #expect(try await world.wait(atMost: .seconds(2)) { right.client.standing.count == 2 })
            #expect(relays[2].service?.statistics.reservations == 0)
            try await world.network.sleep(for: .seconds(4))
            relays[0].vanish()
            let isThere = try await world.wait(atMost: .seconds(5)) { relays[2].service?.statistics.reservations == 1 }
            #expect(isThere)
            #expect(try await world.wait(atMost: .seconds(1)) { right.client.standing.count == 3 })
            let address = try #require(right.client.standing.last?.address)
            #expect(try await left.connect(address).path.kind == .relay(relays[2].nodeID))
        }
    }

    @Test func aStoppingRelayTellsItsClients() async throws {
        let world = SimulatedWorld.near(seed: 11)
        try await world.run {
            let relay = try world.relayNode(relay: RelayLimits())
            let (left, right) = (try world.relayNode(), try world.relayNode())
            right.client.use(relay.address)
            #expect(try await world.wait(atMost: .seconds(2)) { !right.client.standing.isEmpty })
            let session = try await left.connect(right.client.standing[0].address)
            relay.service?.stop()
            let end = try await session.waitClosed()
            #expect(end.reason == "the relay is stopping")
            relay.stop()
            #expect(try await world.wait(atMost: .seconds(1)) { right.client.standing.isEmpty })
        }
    }

    @Test func aFloodOnOneCircuitLeavesAnotherUnharmed() async throws {
        let world = SimulatedWorld.near(seed: 12)
        try await world.run {
            var limits = RelayLimits()
            limits.circuitRate = 2_000_000
            let relay = try world.relayNode(relay: limits)
            let nodes = try (0..<4).map { _ in try world.relayNode() }
            let targets = [nodes[1], nodes[3]]
            for target in targets { target.client.use(relay.address) }
            #expect(try await world.wait(atMost: .seconds(2)) { targets.allSatisfy { !$0.client.standing.isEmpty } })
            let calm = try await nodes[0].connect(nodes[1].client.standing[0].address)
            let pinger = try await Ping.open(calm)
            let alone = try await pinger.ping(timeout: .seconds(2))
            let flooding = try await nodes[2].connect(nodes[3].client.standing[0].address)
            let stream = try await flooding.openStream(anyOf: Ping.protocolIDs)
            let flood = networkTask {
                while true { try await stream.write(Chunk([UInt8](repeating: 1, count: 65_536))) }
            }
            for _ in 0..<20 {
                #expect(try await pinger.ping(timeout: .seconds(2)) <= alone * 1.1)
                try await world.network.sleep(for: .milliseconds(50))
            }
            flood.cancel()
            stream.reset(0)
        }
    }

    @Test func circuitsWithoutAConnectionEndWithinSeconds() async throws {
        let world = SimulatedWorld.near(seed: 40)
        try await world.run {
            let relay = try world.relayNode(relay: RelayLimits())
            let (left, right) = (try world.relayNode(), try world.relayNode())
            right.client.use(relay.address)
            #expect(try await world.wait(atMost: .seconds(2)) { !right.client.standing.isEmpty })
            let (way, _) = try await left.client.openCircuit(to: right.nodeID, via: relay.nodeID, at: [relay.address])
            #expect(relay.service?.statistics.circuits == 1 && right.client.inbound.count == 1)
            #expect(try await world.wait(atMost: .seconds(8)) { relay.service?.statistics.circuits == 0 })
            #expect(
                try await world.wait(atMost: .seconds(1)) { way.ended == .unused && right.client.inbound.count == 0 })
        }
    }

    @Test("a circuit lasts when a member came over it, else it ends within seconds", arguments: [true, false])
    func circuitsAreForMembers(isMember: Bool) async throws {
        let world = SimulatedWorld.near(seed: 41)
        try await world.run {
            let relay = try world.relayNode(relay: RelayLimits())
            let (left, right) = (try world.relayNode(), try world.relayNode())
            world.block(left, right)
            right.client.wantsMembersOnly = { true }
            right.client.use(relay.address)
            #expect(try await world.wait(atMost: .seconds(2)) { !right.client.standing.isEmpty })
            let session = try await left.connect(try #require(right.client.standing.first?.address))
            #expect(try await world.wait(atMost: .seconds(1)) { right.connections.session(with: left.nodeID) != nil })
            if isMember { right.connections.session(with: left.nodeID)?.endAdmission(admitted: true) }
            try await world.network.sleep(for: InboundCircuits.patience + .seconds(3))
            #expect(session.isOpen == isMember)
            #expect(relay.service?.statistics.circuits == (isMember ? 1 : 0))
            guard isMember else { return }
            // What it is confirmed for goes: so does the circuit, whatever the other side does.
            right.connections.session(with: left.nodeID)?.close(.normal)
            #expect(try await world.wait(atMost: .seconds(8)) { relay.service?.statistics.circuits == 0 })
        }
    }

    @Test func aStrangersIdleCircuitsKeepNobodyOut() async throws {
        let world = SimulatedWorld.near(seed: 42)
        try await world.run {
            var limits = RelayLimits()
            limits.circuitsPerNode = 8
            let relay = try world.relayNode(relay: limits)
            let right = try world.relayNode()
            right.client.use(relay.address)
            #expect(try await world.wait(atMost: .seconds(2)) { !right.client.standing.isEmpty })
            let home = IPAddress(v4: 0x0a63_0001)
            for number in 0..<12 {
                let stranger = try world.relayNode(at: SocketAddress(home, port: 5_000 + UInt16(number)))
                _ = try? await stranger.client.openCircuit(to: right.nodeID, via: relay.nodeID, at: [relay.address])
            }
            #expect((1...4).contains(relay.service?.statistics.circuits ?? 0))
            for _ in 0..<3 {
                let left = try world.relayNode()
                let session = try await left.connect(try #require(right.client.standing.first?.address))
                #expect(session.remoteNodeID == right.nodeID)
            }
        }
    }
}
