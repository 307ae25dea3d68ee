import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PSimulation
import Testing

@testable import DeP2PSessions

/// Whatever happens in whatever order, what is told stays within its measure and ends as it is.
@Suite struct LivenessPropertyTests {
    private static let nodes = (0..<12).map { _ in IdentityKey.generate().nodeID }.sorted()
    /// Comings and goings that flapping leaves in a minute, and changes of the path beside them.
    private static let most = 20 + WatchedPeer.tellings
    private static let causes: [SessionEnd.Cause] = [
        .closedByPeer(.goodbye), .closedByPeer(.normal), .closedByPeer(.leftRealm), .closedByPeer(.relayEnded),
        .closedLocally(.limit), .timeout, .transport,
    ]
    private static let paths: [ConnectionPath.Kind] = [.direct, .punched, .relay(nodes[0])]

    @Test(arguments: 0..<200 as Range<UInt64>) func anyOrderOfEvents(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var bench = LivenessBench(present: 8, inRealm: Bool.random(using: &random))
        var open: [UInt64] = []
        for number in 0..<400 as Range<UInt64> {
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<3:
                bench.open(
                    number, Self.nodes.randomElement(using: &random) ?? Self.nodes[0],
                    Self.paths.randomElement(using: &random) ?? .direct,
                    as: Bool.random(using: &random) ? .stranger : .chosen)
                open.append(number)
            case 3..<5:
                guard let session = open.randomElement(using: &random) else { continue }
                open.removeAll { $0 == session }
                bench.close(session, Self.causes.randomElement(using: &random) ?? .timeout)
            case 5: open.randomElement(using: &random).map { bench.admit($0) }
            case 6: open.randomElement(using: &random).map { bench.silence($0) }
            case 7: open.randomElement(using: &random).map { bench.hear($0) }
            case 8: open.randomElement(using: &random).map { bench.losePath($0) }
            default: bench.pass(.milliseconds(Int64.random(in: 0..<8_000, using: &random)))
            }
            if Int.random(in: 0..<40, using: &random) == 0 { bench.standStill(.seconds(600)) }
            #expect(bench.machine.presentCount <= 8)
        }
        for session in open { bench.close(session, .closedByPeer(.goodbye)) }
        bench.pass(.seconds(300))
        #expect(bench.machine.presentCount == 0 && bench.machine.goneCount == 0 && bench.machine.wake == nil)
        check(bench.told)
    }

    private func check(_ told: [LivenessBench.Telling]) {
        for node in Self.nodes {
            let mine = told.filter { $0.presence.nodeID == node }
            for (one, next) in zip(mine, mine.dropFirst()) { #expect(one.presence != next.presence) }
            #expect(mine.last.map { $0.presence.state == .offline } ?? true)
            for (index, one) in mine.enumerated() where one.presence.reason != .unwatched {
                let minute = mine[index...].prefix { $0.at < one.at + 60_000 }
                // Who is left out for a member, and comes again, begins anew.
                let anew = minute.count { $0.presence.reason == .unwatched }
                #expect(minute.count <= Self.most * (anew + 1))
            }
            #expect(mine.allSatisfy { ($0.presence.state == .online) == ($0.presence.reason == nil) })
            #expect(mine.allSatisfy { $0.presence.state != .offline || $0.presence.path == nil })
        }
    }
}
