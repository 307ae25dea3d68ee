import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PReach
@testable import DeP2PSessions

/// Where this node lets itself be sent by a peer's list.
@Suite struct CandidateRulesTests {
    private static let own = v4(192, 168, 1, 10, 4001)

    private func rules(
        _ voucher: AddressRule.Voucher = .member, sharesPublicAddress: Bool = false
    ) -> CandidateRules {
        CandidateRules(
            rule: AddressRule(interfaces: [
                InterfaceAddress(Self.own, prefixLength: 24), InterfaceAddress(v4(127, 0, 0, 1, 4001), prefixLength: 8),
                InterfaceAddress(v6(0x2600_0000_0000_0001, 10, 4001), prefixLength: 64),
            ]), voucher: voucher, sharesPublicAddress: sharesPublicAddress)
    }

    @Test func neverToWhatIsNoHost() {
        let never = [
            v4(0, 0, 0, 0, 1), v4(255, 255, 255, 255, 1), v4(224, 0, 0, 1, 1), v4(239, 1, 2, 3, 1), v4(240, 0, 0, 1, 1),
            v4(192, 168, 1, 255, 1), v4(169, 254, 1, 1, 1), v4(45, 1, 1, 1, 0), v6(0, 0, 1), v6(0xff02 << 48, 1, 1),
            v6(0xfe80 << 48, 1, 1), v6(0, 0xffff_2d01_0101, 1), Self.own,
        ]
        for address in never {
            #expect(!rules(.sameHost, sharesPublicAddress: true).admits(address), "\(address)")
        }
    }

    @Test func toPrivateAddressesOnlyWhereTheyMayBeThePeers() {
        let near = v4(192, 168, 1, 99, 4001)
        let behindTheSameNAT = v4(10, 1, 2, 3, 4001)
        let loopback = v4(127, 0, 0, 1, 5000)
        #expect(rules().admits(near) && !rules().admits(behindTheSameNAT) && !rules().admits(loopback))
        #expect(rules(sharesPublicAddress: true).admits(behindTheSameNAT))
        #expect(!rules(sharesPublicAddress: true).admits(loopback) && rules(.sameHost).admits(loopback))
        #expect(
            !rules().admits(v4(100, 64, 0, 1, 4001)) && rules(sharesPublicAddress: true).admits(v4(100, 64, 0, 1, 4001))
        )
        #expect(rules().admits(v4(45, 1, 1, 1, 4001)) && rules().admits(v6(0x2600_0000_0000_0002, 1, 4001)))
    }

    /// Whose word is a stranger's may claim a shared address, and neighbours: nothing inside is probed for it.
    @Test func strangersAreSentNowhereInside() {
        let inside = [
            v4(192, 168, 1, 99, 22), v4(192, 168, 1, 1, 53), v4(10, 1, 2, 3, 80), v4(100, 64, 0, 1, 1),
            v4(127, 0, 0, 1, 631),
        ]
        for address in inside {
            #expect(!rules(.stranger, sharesPublicAddress: true).admits(address), "\(address)")
        }
        #expect(rules(.stranger).admits(v4(45, 1, 1, 1, 4001)))
    }

    @Test func onlyInFamiliesThatThisNodeHas() {
        let old = CandidateRules(
            rule: AddressRule(interfaces: [InterfaceAddress(Self.own, prefixLength: 24)]), voucher: .sameHost,
            sharesPublicAddress: true)
        #expect(!old.admits(v6(0x2600_0000_0000_0002, 1, 4001)))
    }

    @Test func predictionsComeFirstAndNothingTwice() {
        let candidates = [
            Candidate(.interface, v4(45, 1, 1, 1, 5)), Candidate(.observed, v4(45, 1, 1, 1, 5)),
            Candidate(.predicted, v4(45, 1, 1, 1, 6), step: 1, count: 2),
        ]
        #expect(rules().targets(candidates).map(\.port) == [6, 7, 5])
        let many = (0..<200).map { Candidate(.predicted, v4(45, 1, UInt8($0), 1, 5), step: 1, count: 16) }
        #expect(rules().targets(many).count == Candidate.addressLimit)
    }

    @Test func aVictimGetsNoMoreThanItsBudget() {
        var budget = ProbeBudget()
        let victim = v4(45, 1, 1, 1, 0).ip
        let sent = (0..<10_000).count { _ in budget.take(victim, now: .milliseconds(0)) }
        #expect(sent == ProbeBudget.burst)
        let later = (1...10_000).count { budget.take(victim, now: .milliseconds(UInt64($0))) }
        #expect(later == 10 * ProbeBudget.rate, "ten seconds on")
        budget.answered(victim, now: .milliseconds(10_000))
        let isFree = budget.take(victim, now: .milliseconds(10_000))
        #expect(isFree)
    }

    @Test func whoAnswersStartsAnewOnceASecond() {
        var budget = ProbeBudget()
        let shared = v4(45, 1, 1, 1, 0).ip
        let sent = (0..<10_000).count {
            let now = NetworkInstant.milliseconds(UInt64($0))
            budget.answered(shared, now: now)
            return budget.take(shared, now: now)
        }
        #expect(sent <= 10 * (ProbeBudget.burst + ProbeBudget.rate))
    }

    @Test func aSubjectHasOneBudgetWhateverAddressOfItIsNamed() {
        var budget = ProbeBudget()
        let mapped = (0..<100).count { index in
            let ip = index % 2 == 0 ? v4(45, 1, 1, 1, 0).ip : IPAddress(v6High: 0, low: 0xffff_2d01_0101)
            return budget.take(ip, now: .milliseconds(0))
        }
        #expect(mapped == ProbeBudget.burst)
        let prefix = (0..<100).count { budget.take(IPAddress(v6High: 0x2600 << 48, low: $0), now: .milliseconds(0)) }
        #expect(prefix == ProbeBudget.burst)
    }

    @Test func soManyVictimsAreRememberedAndNoMore() {
        var budget = ProbeBudget()
        for index in 0..<UInt32(ProbeBudget.subjectLimit) {
            _ = budget.take(IPAddress(v4: 0x2d00_0000 + index), now: .milliseconds(UInt64(index)))
        }
        let now = NetworkInstant.milliseconds(UInt64(ProbeBudget.subjectLimit))
        #expect(budget.subjectCount == ProbeBudget.subjectLimit)
        // Those that have their whole budget again make room.
        let hasRoom = budget.take(IPAddress(v4: 0x2e00_0000), now: now)
        #expect(hasRoom)
        #expect(budget.subjectCount < ProbeBudget.subjectLimit)
    }

    @Test func whatOneObserverAloneSeesIsNotToldWhileOthersAgree() {
        func seen(_ number: UInt8, _ mapped: SocketAddress) -> PortPrediction.Observation {
            PortPrediction.Observation(observer: v4(45, 9, number, 1, 1), mapped: mapped)
        }
        let victim = v4(45, 99, 0, 1, 443)
        let honest = [seen(1, v4(45, 1, 1, 1, 5_000)), seen(2, v4(45, 1, 1, 1, 5_001))]
        let candidates = PortPrediction.candidates([seen(3, victim)] + honest)
        #expect(candidates == PortPrediction.candidates(honest))
        #expect(candidates.contains { $0.kind == .predicted })
        // The second port of the same host is no second witness.
        let alone = [
            seen(3, victim), PortPrediction.Observation(observer: v4(45, 9, 3, 1, 2), mapped: victim), honest[0],
        ]
        #expect(Set(PortPrediction.candidates(alone).map(\.address.ip)) == [victim.ip, honest[0].mapped.ip])
        // Nor does one family's word count in the other.
        let sixth = PortPrediction.Observation(
            observer: v6(0x2600_1f00_0000_0000, 9, 1), mapped: v6(0x2600_1f00_0001_0000, 1, 4001))
        #expect(PortPrediction.candidates(honest + [sixth]).contains { $0.address == sixth.mapped })
    }

    @Test(arguments: [
        ([5_000], []), ([5_000, 5_000], []), ([5_000, 5_001], [5_002, 4_999]), ([5_001, 5_000], [4_999, 5_002]),
        ([5_000, 5_010], [5_020, 4_990]), ([5_000, 9_000], []), ([65_534, 65_535], [65_533]), ([2, 1], [3]),
    ])
    func portsArePredictedOfSequencesOnly(ports: [UInt16], first: [UInt16]) {
        let observations = ports.enumerated().map { index, port in
            PortPrediction.Observation(observer: v4(45, 9, 9, UInt8(index), 1), mapped: v4(45, 1, 1, 1, port))
        }
        let candidates = PortPrediction.candidates(observations)
        #expect(candidates.filter { $0.kind == .predicted }.map(\.address.port) == first)
        #expect(Set(candidates.filter { $0.kind == .observed }.map(\.address.port)) == Set(ports))
    }
}
