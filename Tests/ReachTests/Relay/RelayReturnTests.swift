import DeP2PIdentity
import DeP2PReactor
import DeP2PSessions
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PReach

/// How soon a relay that was away is of use again.
@Suite(.serialized, .timeLimit(.minutes(1)))
@NetworkActor
struct RelayReturnTests {
    /// By a failed attempt's pause it would be a second.
    @Test("a circuit to a node that is about to come to a relay is asked for again soon")
    func targetComes() async throws {
        let world = SimulatedWorld.near(seed: 61)
        try await world.run {
            let relay = try world.relayNode(relay: RelayLimits())
            let (left, right) = (try world.relayNode(), try world.relayNode())
            let start = world.network.now
            let task = networkTask {
                try await left.client.openCircuit(
                    to: right.nodeID, via: relay.nodeID, at: [relay.address], again: PunchLink.detourPauses)
            }
            try await world.network.sleep(for: .milliseconds(560))
            right.client.use(relay.address)
            let (way, _) = try await task.value
            #expect(world.network.now.duration(since: start) < .milliseconds(900))
            way.end()
        }
    }

    @Test("who never comes is asked for as often as is worth it, within the time that a relay has for it")
    func targetStaysAway() async throws {
        let world = SimulatedWorld.near(seed: 62)
        try await world.run {
            let relay = try world.relayNode(relay: RelayLimits())
            let (left, right) = (try world.relayNode(), try world.relayNode())
            let start = world.network.now
            await #expect(throws: RelayError(.noReservation)) {
                _ = try await left.client.openCircuit(
                    to: right.nodeID, via: relay.nodeID, at: [relay.address], again: PunchLink.detourPauses)
            }
            let refusals = relay.service?.statistics.refusals
            #expect(refusals == UInt64(1 + RelayClient.absencePauses.count + PunchLink.detourPauses.count))
            #expect(world.network.now.duration(since: start) < PunchLink.detourDeadline)
        }
    }

    /// Its own next attempt would be a quarter of a second later.
    @Test("a relay that is back is asked for a reservation with the first connection, whoever makes it")
    func relayIsBack() async throws {
        let world = SimulatedWorld.near(seed: 63)
        try await world.run {
            let relay = try world.relayNode(relay: RelayLimits())
            let node = try world.relayNode()
            node.client.use(relay.address)
            #expect(try await world.wait(atMost: .seconds(2)) { !node.client.standing.isEmpty })
            try await world.network.sleep(for: .seconds(3))
            world.block(node, relay)
            relay.connections.session(with: node.nodeID)?.close(.normal)
            node.connections.session(with: relay.nodeID)?.close(.normal)
            #expect(try await world.wait(atMost: .seconds(2)) { node.client.standing.isEmpty })
            // Until an attempt has failed; the next one is due in a while.
            #expect(
                try await world.wait(atMost: .seconds(3)) {
                    node.clientEvents.contains { if case .refused = $0 { true } else { false } }
                })
            world.network.links = [:]
            let start = world.network.now
            _ = try await node.connect(relay.address)
            #expect(try await world.wait(atMost: .seconds(2)) { !node.client.standing.isEmpty })
            #expect(world.network.now.duration(since: start) < ReservationMachine.returnInterval)
        }
    }
}
