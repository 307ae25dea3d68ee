import DeP2PQUIC
import DeP2PReactor
import DeP2PSimulation
import Testing

/// Virtual time must stand still between the moment something happened and the moment the task that waited goes on.
@Suite struct VirtualTimeTests {
    /// Something that is always due soon, so that time would run if it could.
    @NetworkActor
    private final class Ticker {
        private let network: SimulatedNetwork
        var isStopped = false

        init(_ network: SimulatedNetwork) {
            self.network = network
            tick()
        }

        private func tick() {
            guard !isStopped else { return }
            _ = network.schedule(after: .milliseconds(50)) { self.tick() }
        }
    }

    @Test("a sleep of 200 ms ends after exactly 200 ms, in the task itself and in one with a deadline")
    func exactSleep() async throws {
        let network = await SimulatedWorld(seed: 1).network
        try await network.run {
            let ticker = Ticker(network)
            for round in 0..<500 {
                let start = network.now
                if round.isMultiple(of: 2) {
                    try await network.sleep(for: .milliseconds(200))
                } else {
                    try await network.withDeadline(.seconds(9)) { try await network.sleep(for: .milliseconds(200)) }
                }
                #expect(network.now.duration(since: start) == .milliseconds(200))
            }
            ticker.isStopped = true
        }
    }
}
