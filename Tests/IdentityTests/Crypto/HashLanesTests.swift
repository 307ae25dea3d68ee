import Synchronization
import Testing

@testable import DeP2PIdentity

@Suite struct HashLanesTests {
    /// A machine that is short of memory for a moment has its lanes all the same; one without them is asked once.
    @Test func whatFailsIsTriedAgainAndWhatIsMissingIsNot() {
        let calls = Mutex(0)
        let lanes = HashLanes {
            calls.withLock { calls in
                calls += 1
                return calls < 3 ? .failed : .missing
            }
        }
        for _ in 0..<6 {
            lanes.borrow { _ in
                Issue.record("there are no lanes to borrow")
                return true
            }
        }
        #expect(calls.withLock { $0 } == 3)
    }
}
