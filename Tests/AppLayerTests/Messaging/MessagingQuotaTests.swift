import Identity
import SystemLayer
import Testing

@testable import AppLayer

@Suite struct MessagingQuotaTests {
    private let peer = IdentityKey.generate().nodeID
    private let other = IdentityKey.generate().nodeID

    private func quota(requests: Int = 8, bytes: Int = 1_000) -> MessagingQuota {
        var limits = MessagingLimits()
        limits.concurrentRequests = requests
        limits.bufferedBytes = bytes
        limits.bodySize = 100
        return MessagingQuota(limits)
    }

    @Test func oneNodeHasThreeQuartersOfTheRequestsAndTheOthersTheRest() {
        var quota = quota(requests: 8)
        for _ in 0..<6 {
            #expect(quota.refusal(of: 1, from: peer) == nil)
            quota.begin(from: peer)
        }
        #expect(quota.refusal(of: 1, from: peer)?.limit == 6)
        #expect(quota.refusal(of: 1, from: other) == nil)
        for _ in 0..<2 { quota.begin(from: other) }
        #expect(quota.refusal(of: 1, from: other)?.limit == 8)
    }

    @Test func whatHasEndedCountsNoMore() throws {
        var quota = quota(requests: 8, bytes: 1_000)
        for _ in 0..<3 {
            for _ in 0..<6 {
                quota.begin(from: peer)
                try quota.book(125, from: peer)
            }
            #expect(throws: LimitExceeded.self) { try quota.book(1, from: peer) }
            #expect(quota.refusal(of: 1, from: peer) != nil)
            for _ in 0..<6 { quota.end(from: peer, bytes: 125) }
            #expect(quota.refusal(of: 100, from: peer) == nil)
        }
        // Of who has nothing under way nothing is kept, and ending once more takes nothing from the others.
        quota.end(from: peer, bytes: 125)
        for _ in 0..<6 { quota.begin(from: peer) }
        #expect(quota.refusal(of: 1, from: peer)?.limit == 6)
    }
}
