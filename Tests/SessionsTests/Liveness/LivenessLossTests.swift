import DeP2PIdentity
import DeP2PReactor
import Glibc
import Testing

@testable import DeP2PSessions

/// Nobody who lives is taken for gone over bad links (issue 10.5), in thousands of runs of machines alone; what whole nodes make
/// of it is in `LivenessSimulationTests`. `DEP2P_ROUNDS` has as many times more of them.
@Suite struct LivenessLossTests {
    private static let minutes = 2

    private static func seeds(_ count: UInt64) -> Range<UInt64> {
        0..<count * max(1, getenv("DEP2P_ROUNDS").flatMap { UInt64(String(cString: $0)) } ?? 1)
    }

    /// Of the minutes that each of two nodes is watched, those with one falsely taken for gone; and packets a minute.
    private static func run(
        _ link: LossyPair.Link, _ seeds: Range<UInt64>, probes: Bool = true
    ) -> (wrong: Int, minutes: Int, packets: Int) {
        var (wrong, packets) = (0, 0)
        for seed in seeds {
            var pair = LossyPair(link, seed: seed, probes: probes)
            pair.pass(.seconds(60 * minutes))
            wrong += pair.falselyGone
            packets += pair.sent
        }
        let watched = seeds.count * minutes * 2
        print("liveness: \(wrong) of \(watched) minutes had a peer taken for gone (\(link), probes: \(probes))")
        return (wrong, watched, packets / max(1, seeds.count * minutes))
    }

    @Test func nobodyIsTakenForGoneAtOneInAHundredLost() {
        #expect(Self.run(.oneInAHundred, Self.seeds(50)).wrong == 0)
    }

    @Test(arguments: [(LossyPair.Link.random, 50), (.bursts, 50), (.longBursts, 400)])
    func fewerThanOneInAHundredAreTakenForGoneAtTwentyInAHundredLost(_ link: LossyPair.Link, seeds: Int) {
        let found = Self.run(link, Self.seeds(UInt64(seeds)))
        #expect(found.wrong * 100 < found.minutes, "\(found)")
    }

    /// QUIC's repetitions alone would not do.
    @Test func withoutProbesItIsMany() {
        let found = Self.run(.longBursts, Self.seeds(50), probes: false)
        #expect(found.wrong * 25 > found.minutes, "\(found)")
    }

    /// What is sent where all is well, and where it is not: 40 bytes of UDP, IP and Ethernet round 40 of QUIC.
    @Test func aHeartbeatIsCheap() {
        #expect(Self.run(.oneInAHundred, Self.seeds(20)).packets <= 50)
        #expect(Self.run(.longBursts, Self.seeds(20)).packets <= 300)
    }

    // MARK: Who is asked, and how often

    private static let peers = (0..<6_000).map { _ in IdentityKey.generate().nodeID }

    @Test func whoIsGoneIsAskedUntilItIsGivenUpAndStrangersAreNot() {
        var bench = LivenessBench()
        bench.open(1, Self.peers[0])
        bench.open(2, Self.peers[1], as: .stranger)
        bench.silence(1)
        bench.silence(2)
        bench.pass(.seconds(60))
        #expect(bench.probed.map(\.session) == Array(repeating: 1, count: 22))
        #expect(bench.probed.map(\.at) == Array(stride(from: 3_500, to: 9_000, by: 250)))
    }

    @Test func aMobilesPeersAreAskedMoreRarely() {
        var bench = LivenessBench(keepAlive: .seconds(20), idleTimeout: .seconds(60))
        bench.open(1, Self.peers[0])
        bench.silence(1)
        bench.pass(.seconds(120))
        #expect(bench.probed.count == 24 && bench.probed.first?.at == 20_500, "\(bench.probed)")
    }

    @Test func whoIsHeardIsNeverAsked() {
        var bench = LivenessBench()
        bench.open(1, Self.peers[0])
        bench.pass(.seconds(600))
        #expect(bench.probed.isEmpty)
    }

    /// After an answer that was late a node is asked after a second of silence, for a minute.
    @Test func whoWasLateIsAskedSooner() {
        var bench = LivenessBench()
        bench.open(1, Self.peers[0])
        bench.silence(1)
        bench.pass(.seconds(5))
        bench.hear(1)
        bench.pass(.seconds(1))
        bench.silence(1)
        let asked = bench.probed.count
        bench.pass(.milliseconds(1_500))
        #expect(bench.probed.count == asked + 3, "\(bench.probed)")
        bench.hear(1)
        bench.pass(.seconds(70))
        bench.silence(1)
        let calm = bench.probed.count
        bench.pass(.milliseconds(3_400))
        #expect(bench.probed.count == calm, "\(bench.probed)")
    }

    /// Where this machine's own network is gone nobody answers: so many are asked a second, each in its turn.
    @Test func whatIsAskedOfAllHasItsMeasure() {
        let count = 6_000
        var bench = LivenessBench(present: count)
        for number in 0..<count { bench.open(UInt64(number), Self.peers[number]) }
        for number in 0..<count { bench.silence(UInt64(number)) }
        bench.pass(.seconds(20))
        let seconds = Dictionary(grouping: bench.probed) { $0.at / 1_500 }.mapValues(\.count)
        #expect((seconds.values.max() ?? 0) <= LivenessTimes.probesRate * 3 / 2, "\(seconds)")
        #expect(bench.probed.count == count * 4)
        #expect(bench.told.count { $0.presence.state == .offline } == count)
    }
}
