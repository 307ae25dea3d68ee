import Testing

@testable import DeP2PHTTP

@Suite struct ConnectionGateTests {
    @Test func theOldestGivesWayToTheNewest() {
        var gate = ConnectionGate<Int>(limit: 32)
        for number in 0..<32 { #expect(gate.enter(number) == nil) }
        for number in 32..<1_000 { #expect(gate.enter(number) == number - 32) }
        #expect(gate.open.count == 32)
        gate.leave(999)
        gate.leave(5)
        #expect(gate.enter(1_000) == nil && gate.enter(1_001) == 968)
    }
}
