import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PSimulation
import Testing

@testable import DeP2PReach
@testable import DeP2PSessions

/// A relay has a few places for circuits to one node: who goes straight needs none of them.
@Suite(.serialized, .timeLimit(.minutes(2))) @NetworkActor struct CircuitPlacesTests {
    private final class Outcomes {
        var sessions: [Session] = []
        var errors: [any Error] = []
    }

    @Test("more members than there are places for one listener come at once, and all get through")
    func manyMembers() async throws {
        try await withPunchNetwork(seed: 31) { world in
            let far = try world.node(.portRestricted)
            far.node.client.use(world.relay.address)
            #expect(try await world.wait(atMost: .seconds(5)) { !far.node.client.standing.isEmpty })
            let address = try #require(far.node.client.standing.first?.address)
            let outcomes = Outcomes()
            let count = RelayLimits().circuitsPerNode + 6
            for _ in 0..<count {
                let near = try world.node(.portRestricted)
                networkTask {
                    do {
                        outcomes.sessions.append(try await near.node.connect(address))
                    } catch {
                        outcomes.errors.append(error)
                    }
                }
            }
            #expect(
                try await world.wait(atMost: .seconds(20)) { outcomes.sessions.count + outcomes.errors.count == count })
            #expect(outcomes.errors.isEmpty, "\(outcomes.errors)")
            let areStraight = try await world.wait(atMost: .seconds(10)) {
                outcomes.sessions.allSatisfy { $0.isOpen && $0.path.isStraight }
            }
            #expect(areStraight)
            #expect(try await world.wait(atMost: .seconds(5)) { world.relay.service?.statistics.circuits == 0 })
            // Nobody stays with the relay who needs it for nothing; the listener does.
            #expect(try await world.wait(atMost: .seconds(40)) { world.relay.connections.sessions.count == 1 })
            #expect(outcomes.sessions.allSatisfy { $0.isOpen && $0.path.isStraight })
        }
    }

    @Test("a place that was given back is taken again when the straight path dies")
    func aPlaceTakenAgain() async throws {
        try await withPunchNetwork(seed: 32) { world in
            let (near, far) = (try world.node(.portRestricted), try world.node(.portRestricted))
            let (session, _) = try await world.connect(near, far)
            #expect(try await world.wait(atMost: .seconds(3)) { session.path.isStraight })
            #expect(try await world.wait(atMost: .seconds(40)) { world.relay.connections.sessions.count == 1 })
            let homes = [near, far].compactMap(\.gateway?.external)
            world.network.filter = { _, from, to in !(homes.contains(from.ip) && homes.contains(to.ip)) }
            #expect(try await world.wait(atMost: .seconds(6)) { !session.path.isStraight })
            #expect(session.isOpen && world.relay.service?.statistics.circuits == 1)
        }
    }

    @Test("a connection with the relay that an application holds is not ended with the circuits over it")
    func whatAnApplicationHolds() async throws {
        try await withPunchNetwork(seed: 33) { world in
            let (near, far) = (try world.node(.portRestricted), try world.node(.portRestricted))
            let held = try await near.node.connect(world.relay.address)
            held.isAskedFor = true
            let (session, _) = try await world.connect(near, far)
            #expect(try await world.wait(atMost: .seconds(3)) { session.path.isStraight })
            #expect(try await world.wait(atMost: .seconds(5)) { world.relay.service?.statistics.circuits == 0 })
            #expect(try await !world.wait(atMost: RelayClient.parting * 2) { !held.isOpen })
        }
    }
}
