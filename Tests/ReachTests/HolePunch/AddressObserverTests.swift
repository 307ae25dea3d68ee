import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PReach

@Suite @NetworkActor struct AddressObserverTests {
    @Test("one that does not answer is waited for once, where another does")
    func silence() async throws {
        try await withPunchNetwork(seed: 41) { world in
            let node = try world.node(.portRestricted)
            let observers = [world.relay.socket, v4(45, 99, 0, 7, 4001)]
            let first = await node.punch.observer.observations(of: observers)
            #expect(first.map(\.observer) == [world.relay.socket])
            let start = world.network.now
            let second = await node.punch.observer.observations(of: observers)
            #expect(second.map(\.mapped) == first.map(\.mapped) && world.network.now == start)
            try await world.network.sleep(for: AddressObserver.silence)
            _ = await node.punch.observer.observations(of: observers)
            #expect(world.network.now > start.advanced(by: AddressObserver.silence), "and asked again later")
        }
    }
}
