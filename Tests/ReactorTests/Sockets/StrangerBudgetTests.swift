import DeP2PIdentity
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PReactor

@Suite struct StrangerBudgetTests {
    private let now = NetworkInstant(nanoseconds: 1_000_000_000)

    private func host(_ number: UInt32) -> SocketAddress { SocketAddress(IPAddress(v4: 0xcb00_7100 + number), port: 9) }

    @Test func longOnesAreRefusedAndCostNoShare() {
        var budget = StrangerBudget(largest: 100)
        #expect(!budget.admits(101, from: host(1), now: now) && budget.refused == 1)
        let burst = StrangerBudget.perSubject.burst
        #expect((0..<burst).allSatisfy { _ in budget.admits(100, from: host(1), now: now) })
        #expect(!budget.admits(1, from: host(1), now: now) && budget.refused == 2)
    }

    @Test func whoSpendsItsShareLeavesThoseOfOthers() {
        var budget = StrangerBudget()
        while budget.admits(57, from: host(0), now: now) {}
        // All but those that share its bucket: one in 1,024.
        #expect((1...20).count { budget.admits(57, from: host($0), now: now) } >= 18)
        let later = now.advanced(by: .milliseconds(100))
        let share = (0..<1_000).count { _ in budget.admits(57, from: host(0), now: later) }
        #expect(share == StrangerBudget.perSubject.perSecond / 10)
    }
}
