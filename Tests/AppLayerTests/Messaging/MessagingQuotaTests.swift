import DeP2PIdentity
import DeP2PReactor
import DeP2PSessions
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PApp

@Suite struct MessagingQuotaTests {
    private let peer = Sender(
        nodeID: IdentityKey.generate().nodeID, subject: Subject(IPAddress(v4: 0x0A00_0001)))
    private let other = Sender(
        nodeID: IdentityKey.generate().nodeID, subject: Subject(IPAddress(v4: 0x0A00_0002)))

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
            _ = quota.begin(from: peer)
        }
        #expect(quota.refusal(of: 1, from: peer)?.limit == 6)
        #expect(quota.refusal(of: 1, from: other) == nil)
        for _ in 0..<2 { _ = quota.begin(from: other) }
        #expect(quota.refusal(of: 1, from: other)?.limit == 8)
    }

    @Test func whatHasEndedCountsNoMore() throws {
        var quota = quota(requests: 8, bytes: 1_000)
        for _ in 0..<3 {
            let open = (0..<6).map { _ in quota.begin(from: peer) }
            for account in open { try quota.book(125, for: account) }
            #expect(throws: LimitExceeded.self) { try quota.book(1, for: open[0]) }
            #expect(quota.refusal(of: 1, from: peer) != nil)
            for account in open { quota.end(account, bytes: 125) }
            #expect(quota.refusal(of: 100, from: peer) == nil)
        }
        for _ in 0..<6 { _ = quota.begin(from: peer) }
        #expect(quota.refusal(of: 1, from: peer)?.limit == 6)
    }
}

@Suite struct MessagingQuotaOfAddressesTests {
    private static let nodes = (0..<40).map { _ in IdentityKey.generate().nodeID }

    private var limits: MessagingLimits {
        var limits = MessagingLimits()
        (limits.concurrentRequests, limits.bufferedBytes, limits.bodySize) = (64, 6_400, 100)
        return limits
    }

    private func sender(_ node: Int, at host: UInt32) -> Sender {
        Sender(nodeID: Self.nodes[node], subject: Subject(IPAddress(v4: 0x0A00_0000 + host << 8)))
    }

    /// Requests, with a hundred bytes each, that the senders get by turns until all of them are refused.
    private func fill(_ quota: inout MessagingQuota, _ senders: [Sender]) throws -> Int {
        var (count, before) = (0, -1)
        while count != before {
            before = count
            for sender in senders where quota.refusal(of: 100, from: sender) == nil {
                try quota.book(100, for: quota.begin(from: sender))
                count += 1
            }
        }
        return count
    }

    @Test func aNodeHasThreeQuarters() throws {
        var quota = MessagingQuota(limits)
        #expect(try fill(&quota, [sender(0, at: 1)]) == 48)
        #expect(quota.refusal(of: 0, from: sender(0, at: 1))?.name == "requests of one node at once")
        #expect(quota.refusal(of: 100, from: sender(1, at: 1)) == nil)
    }

    /// One holder of the realm key under forty names is one address.
    @Test func manyIdentitiesOfOneAddressLeaveAnEighth() throws {
        var quota = MessagingQuota(limits)
        #expect(try fill(&quota, (0..<39).map { sender($0, at: 1) }) == 56)
        #expect(quota.refusal(of: 0, from: sender(38, at: 1))?.name == "requests of one address at once")
        #expect(try fill(&quota, [sender(39, at: 2)]) == 6)
    }

    /// One holder of the realm key with a customer's network, as IPv6 has it for everyone.
    @Test func manyAddressesOfOneNetworkLeaveASixteenth() throws {
        var quota = MessagingQuota(limits)
        let network = (0..<39).map { node in
            Sender(
                nodeID: Self.nodes[node],
                subject: Subject(IPAddress(v6High: 0x2001_0db8_0007_0000 + UInt64(node), low: 1)))
        }
        #expect(try fill(&quota, network) == 60)
        #expect(quota.refusal(of: 0, from: network[38])?.name == "requests of one network at once")
        #expect(try fill(&quota, [sender(39, at: 2)]) == 3)
    }

    @Test func whatHasEndedIsForgotten() throws {
        var quota = MessagingQuota(limits)
        var random = SplitMix64(seed: 3)
        var open: [(MessagingQuota.Account, Int)] = []
        for _ in 0..<5_000 {
            let next = sender(.random(in: 0..<40, using: &random), at: .random(in: 1...5, using: &random))
            if Bool.random(using: &random), quota.refusal(of: 100, from: next) == nil {
                let account = quota.begin(from: next)
                let size = Int.random(in: 0...100, using: &random)
                try quota.book(size, for: account)
                open.append((account, size))
            } else if let index = open.indices.randomElement(using: &random) {
                let (account, size) = open.remove(at: index)
                quota.end(account, bytes: size)
            }
            #expect(open.count <= 64)
        }
        for (account, size) in open { quota.end(account, bytes: size) }
        #expect(try fill(&quota, [sender(0, at: 1)]) == 48)
    }

    /// Every connection may come from another address: those that have nothing under way are not remembered for ever, and
    /// who has something keeps it.
    @Test func sendersBeyondThoseRememberedCostNobodyAnything() throws {
        var quota = MessagingQuota(limits)
        let first = quota.begin(from: sender(0, at: 1))
        try quota.book(100, for: first)
        for number in 0..<3 * UInt32(MessagingQuota.remembered) {
            let account = quota.begin(from: sender(Int(number) % 39 + 1, at: 1 + number % 50_000))
            quota.end(account, bytes: 0)
            #expect(quota.senderCount <= MessagingQuota.remembered)
        }
        #expect(try fill(&quota, [sender(0, at: 1)]) == 47)
        quota.end(first, bytes: 100)
        #expect(try fill(&quota, [sender(0, at: 1)]) == 1)
    }
}
