import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PSimulation
import Testing

@testable import DeP2PReach
@testable import DeP2PSessions

/// NATs that count their ports up, and what observers can know of that.
@Suite(.serialized, .timeLimit(.minutes(2))) @NetworkActor struct SequenceTests {
    struct Case: CustomTestStringConvertible, Sendable {
        /// What the port depends on; whether it is the listener's NAT.
        let mapping: SimulatedGateway.Rule
        let isListeners: Bool
        /// Relays that both know: of one alone it can't be seen that the port depends on the address.
        let relays: Int
        /// New flows since the observers were asked.
        let flows: Int

        var testDescription: String {
            "\(mapping), \(isListeners ? "listener" : "dialler"), \(relays) relays, \(flows) flows"
        }
    }

    nonisolated static let cases = [SimulatedGateway.Rule.address, .addressAndPort].flatMap { mapping in
        [true, false].flatMap { isListeners in
            [(1, 0), (1, 40), (2, 40), (2, 500)].map {
                Case(mapping: mapping, isListeners: isListeners, relays: $0.0, flows: $0.1)
            }
        }
    }

    @Test("one that has counted on is met at once, one that looks steady in the second round", arguments: cases)
    func countedOn(_ item: Case) async throws {
        try await withPunchNetwork(seed: 3) { world in
            world.relayCount = item.relays
            let steady = try world.node(.portRestricted)
            let counting = try world.node(.portRestricted, behind: Self.gateway(item.mapping))
            let (near, far) = item.isListeners ? (steady, counting) : (counting, steady)
            far.node.client.use(world.relay.address)
            _ = try await world.wait(atMost: .seconds(5)) { !far.node.client.standing.isEmpty }
            _ = await counting.punch.candidates()
            for number in 0..<item.flows {
                let other = SocketAddress(IPAddress(v4: UInt32(0x2d50_0001 + number)), port: 9)
                counting.node.endpoint.sendForeign([0], to: other)
            }
            let (session, peer) = try await world.connect(near, far)
            #expect(
                try await world.wait(atMost: .seconds(item.relays == 1 ? 7 : 3)) {
                    session.path.isStraight && peer.path.isStraight
                })
            #expect(counting.sockets.standing.isEmpty && steady.sockets.standing.isEmpty)
            #expect(steady.sockets.opened.isEmpty || item.relays == 1, "its NAT is seen to be steady")
        }
    }

    private static func gateway(_ mapping: SimulatedGateway.Rule) -> SimulatedGateway {
        SimulatedGateway(
            external: IPAddress(v4: 0x2d30_0001), inside: IPAddress(v4: 0xc0a8_3000), mapping: mapping,
            filtering: .addressAndPort, ports: .sequential(step: 1), seed: 3)
    }
}
