import DeP2PIdentity
import DeP2PReactor
import Testing

@testable import DeP2PReach

@Suite struct PeerMoveTests {
    private static let start = NetworkInstant(nanoseconds: 1_000_000_000)
    private static let present = SocketAddress(IPAddress(v4: 0xc000_0201), port: 4001)
    private static let new = SocketAddress(IPAddress(v4: 0xc633_6401), port: 4001)

    /// What is done until nothing more is, and after how many milliseconds.
    private func run(
        _ move: inout PeerMove, answering: Set<SocketAddress>, from: Int = 0
    ) -> [(at: Int, action: PeerMove.Action)] {
        var (done, now): ([(at: Int, action: PeerMove.Action)], NetworkInstant) = ([], Self.start)
        var actions = move.told(Self.new, present: Self.present, now: now)
        while true {
            let at = Int(now.duration(since: Self.start).milliseconds)
            done += actions.map { (at, $0) }
            for case .probe(let remote) in actions where answering.contains(remote) && done.count > from {
                move.answered(remote)
            }
            guard let wake = move.wake else { return done }
            now = wake
            actions = move.timerFired(now: now)
        }
    }

    @Test func whoHasMovedIsFollowed() {
        var move = PeerMove()
        let done = run(&move, answering: [Self.new])
        #expect(done.last?.action == .follow(Self.new) && done.last?.at == 1_000)
        #expect(done.count { $0.action == .probe(Self.present) } == PeerMove.asks)
        #expect(done.count { $0.action == .probe(Self.new) } == 1)
    }

    @Test func whoIsStillThereIsNot() {
        for from in 0..<6 {
            var move = PeerMove()
            let done = run(&move, answering: [Self.present, Self.new], from: from)
            #expect(!done.contains { $0.action == .follow(Self.new) }, "\(done)")
        }
    }

    @Test func norWhoAnswersNowhere() {
        var move = PeerMove()
        let done = run(&move, answering: [])
        #expect(done.count == 2 * PeerMove.asks && move.wake == nil)
        // The next word begins anew.
        #expect(move.told(Self.new, present: Self.present, now: Self.start.advanced(by: .seconds(9))).count == 2)
    }

    /// Words in a flood, each from another address, have no more sent than one.
    @Test func oneQuestionAtATime() {
        var (move, sent) = (PeerMove(), 0)
        for number in 0..<1_000 as Range<UInt32> {
            let now = Self.start.advanced(by: .milliseconds(Int64(number)))
            sent +=
                move.told(
                    SocketAddress(IPAddress(v4: 0xc633_6400 + number), port: 1), present: Self.present, now: now
                ).count
            if let wake = move.wake, wake <= now { sent += move.timerFired(now: now).count }
        }
        #expect(sent == 2 * PeerMove.asks)
        #expect(move.told(Self.present, present: Self.present, now: Self.start).isEmpty)
    }
}
