import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PRealm

@Suite struct AdmissionBackoffTests {
    private func at(_ seconds: UInt64) -> NetworkInstant { NetworkInstant(nanoseconds: seconds * 1_000_000_000) }
    private func subject(_ number: UInt32) -> Subject { Subject(IPAddress(v4: number)) }

    @Test func answersWaitTwiceAsLongAfterTheFreeFailures() {
        let node = IdentityKey.generate().nodeID
        var backoff = AdmissionBackoff()
        for _ in 0..<AdmissionBackoff.freeFailuresPerNode {
            #expect(backoff.failed(node, subject(1), now: at(100)) == .zero)
        }
        for delay in [250, 500, 1_000, 2_000, 3_000, 3_000] {
            #expect(backoff.failed(node, subject(1), now: at(100)) == .milliseconds(delay))
        }
        for _ in 0..<1_000 { #expect(backoff.failed(node, subject(1), now: at(100)) == .seconds(3)) }
        backoff.succeeded(node)
        #expect(backoff.failed(node, subject(2), now: at(100)) == .zero)
    }

    @Test @NetworkActor func noAnswerWaitsForLongerThanAnOpener() {
        #expect(AdmissionBackoff.longestDelay < Admission.deadline)
    }

    @Test func forgetsAfterAWhile() {
        let node = IdentityKey.generate().nodeID
        var backoff = AdmissionBackoff()
        for _ in 0..<20 { _ = backoff.failed(node, subject(1), now: at(0)) }
        #expect(backoff.failed(node, subject(1), now: at(700)) == .zero)
    }

    @Test func manyIdentitiesOfOneSubjectWaitTogether() {
        var backoff = AdmissionBackoff()
        for _ in 0...AdmissionBackoff.freeFailuresPerSubject {
            _ = backoff.failed(IdentityKey.generate().nodeID, subject(1), now: at(0))
        }
        #expect(backoff.failed(IdentityKey.generate().nodeID, subject(1), now: at(0)) > .zero)
        #expect(backoff.failed(IdentityKey.generate().nodeID, subject(2), now: at(0)) == .zero)
    }

    @Test func isBounded() {
        var backoff = AdmissionBackoff()
        let node = IdentityKey.generate().nodeID
        for index in 0..<UInt32(AdmissionBackoff.entryLimit + 50) {
            _ = backoff.failed(node, subject(index), now: at(UInt64(index) / 100))
        }
        #expect(backoff.count == AdmissionBackoff.entryLimit)
    }
}
