import DeP2PReactor
import Testing

@testable import DeP2PQUIC

@Suite struct ValidatedPathTests {
    private func at(_ seconds: UInt64) -> NetworkInstant { NetworkInstant(nanoseconds: seconds * 1_000_000_000) }
    private func ends(_ remote: UInt32) -> ValidatedPath.Ends { .init(local: host(1), remote: host(remote)) }

    @Test func nothingCountsBeforeAProof() {
        var path = ValidatedPath()
        #expect(path.standing(current: ends(2), now: at(0)) == nil)
        path.prove(ends(2), now: at(0))
        #expect(path.standing(current: ends(2), now: at(0)) == ends(2))
    }

    @Test func theOldPathStandsUntilTheNewOneIsProven() {
        var path = ValidatedPath()
        path.prove(ends(2), now: at(0))
        #expect(path.standing(current: ends(3), now: at(1)) == ends(2))
        path.prove(ends(3), now: at(1))
        #expect(path.standing(current: ends(3), now: at(1)) == ends(3))
    }

    @Test func aPathThatIsProvenButNotTakenDoesNotCountYet() {
        var path = ValidatedPath()
        path.prove(ends(2), now: at(0))
        path.prove(ends(3), now: at(1))
        #expect(path.standing(current: ends(2), now: at(1)) == ends(2))
        #expect(path.standing(current: ends(4), now: at(1)) == ends(2))
    }

    @Test func theWayBackNeedsNoProofForAWhile() {
        var path = ValidatedPath()
        path.prove(ends(2), now: at(0))
        path.prove(ends(3), now: at(50))
        #expect(path.standing(current: ends(3), now: at(50)) == ends(3))
        #expect(path.standing(current: ends(2), now: at(55)) == ends(2))
        #expect(path.standing(current: ends(3), now: at(80)) == ends(2))
        #expect(path.standing(current: nil, now: at(80)) == ends(2))
    }

    @Test func fewAddressesAreRemembered() {
        var path = ValidatedPath()
        for remote in UInt32(2)...40 { path.prove(ends(remote), now: at(1)) }
        #expect(path.standing(current: ends(3), now: at(1)) == ends(2))
        #expect(path.standing(current: ends(40), now: at(1)) == ends(40))
    }
}
