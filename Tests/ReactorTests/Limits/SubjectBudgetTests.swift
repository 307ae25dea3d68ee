import DeP2PIdentity
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PReactor

@Suite struct SubjectBudgetTests {
    private let start = NetworkInstant(nanoseconds: 1_000_000_000)

    @Test func eachSubjectHasItsShareAndGetsItBack() {
        var budget = SubjectBudget(SubjectBudget.Rate(perSecond: 10, burst: 5))
        let subject = Subject(IPAddress(v4: 0xc633_6401))
        #expect((0..<9).count { _ in budget.take(subject, now: start) } == 5)
        let later = start.advanced(by: .milliseconds(200))
        #expect((0..<9).count { _ in budget.take(subject, now: later) } == 2)
    }

    @Test func manySubjectsDoNotMakeItGrowAndFewSufferFromOne() {
        var budget = SubjectBudget(SubjectBudget.Rate(perSecond: 1, burst: 3))
        let greedy = Subject(IPAddress(v4: 0x0a00_0001))
        while budget.take(greedy, now: start) {}
        let served = (0..<500).count { budget.take(Subject(IPAddress(v4: 0xc600_0000 + UInt32($0))), now: start) }
        // Who shares the greedy one's bucket is one in 1,024; who shares it with three others of these, fewer than one in 30.
        #expect(served > 450)
    }
}
