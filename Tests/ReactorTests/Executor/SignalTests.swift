import DeP2PReactor
import DeP2PSimulation
import Testing

@Suite struct SignalTests {
    @Test func wakesAllWhoWaitAndNobodyWhoDoesNot() async throws {
        let network = await SimulatedWorld(seed: 1).network
        try await network.run {
            let signal = Signal(network)
            signal.send()
            var woken: [NetworkInstant] = []
            let start = network.now
            let end = start.advanced(by: .seconds(10))
            for _ in 0..<3 {
                networkTask {
                    try await signal.wait(until: end)
                    woken.append(network.now)
                }
            }
            try await network.sleep(for: .seconds(1))
            #expect(woken.isEmpty, "what was before is not kept")
            signal.send()
            try await network.sleep(for: .milliseconds(1))
            #expect(woken == Array(repeating: start.advanced(by: .seconds(1)), count: 3))
        }
    }

    @Test func endsAtTheDeadlineAndWithItsTask() async throws {
        let network = await SimulatedWorld(seed: 1).network
        try await network.run {
            let signal = Signal(network)
            let start = network.now
            try await signal.wait(until: start.advanced(by: .seconds(2)))
            #expect(network.now == start.advanced(by: .seconds(2)))
            let task = networkTask { try await signal.wait(until: start.advanced(by: .seconds(60))) }
            try await network.sleep(for: .seconds(1))
            task.cancel()
            let result = await task.result
            #expect(throws: CancellationError.self) { try result.get() }
        }
    }
}
