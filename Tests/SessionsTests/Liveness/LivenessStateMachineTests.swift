import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import Testing

@testable import DeP2PSessions

/// Who is online, by tables: what happens when, and what is told of it (milliseconds, state, reason).
@Suite struct LivenessStateMachineTests {
    private enum Step {
        case pass(Duration)
        case standStill(Duration)
        case open(UInt64, ConnectionPath.Kind = .direct)
        case silence(UInt64)
        case hear(UInt64)
        case move(UInt64, ConnectionPath.Kind)
        case losePath(UInt64)
        case close(UInt64, SessionEnd.Cause)
    }

    private struct Row: CustomTestStringConvertible {
        let name: String
        let steps: [Step]
        let told: [String]

        init(_ name: String, _ steps: [Step], _ told: [String]) {
            (self.name, self.steps, self.told) = (name, steps, told)
        }

        var testDescription: String { name }
    }

    private static let peer = IdentityKey.generate().nodeID
    private static let relay = ConnectionPath.Kind.relay(IdentityKey.generate().nodeID)

    private static func run(_ steps: [Step], _ bench: inout LivenessBench) {
        for step in steps {
            switch step {
            case .pass(let duration): bench.pass(duration)
            case .standStill(let duration): bench.standStill(duration)
            case .open(let session, let path): bench.open(session, peer, path)
            case .silence(let session): bench.silence(session)
            case .hear(let session): bench.hear(session)
            case .move(let session, let path): bench.move(session, path)
            case .losePath(let session): bench.losePath(session)
            case .close(let session, let cause): bench.close(session, cause)
            }
        }
    }

    private static let rows: [Row] = [
        Row("a peer that is heard stays online", [.open(1), .pass(.seconds(3_600))], ["0 online"]),
        Row(
            "a goodbye is seen at once", [.open(1), .pass(.seconds(5)), .close(1, .closedByPeer(.goodbye))],
            ["0 online", "5000 offline goodbye"]),
        Row(
            "a direct peer that dies", [.open(1), .silence(1), .pass(.seconds(20))],
            ["0 online", "4500 unstable silent", "9000 offline timeout"]),
        Row(
            "a relayed peer that dies", [.open(1, relay), .silence(1), .pass(.seconds(20))],
            ["0 online", "4500 unstable silent", "13000 offline timeout"]),
        Row(
            "its session's end says it sooner",
            [.open(1, relay), .silence(1), .pass(.seconds(12)), .close(1, .timeout), .pass(.seconds(60))],
            ["0 online", "4500 unstable silent", "12000 offline timeout"]),
        Row(
            "a heartbeat that comes late",
            [.open(1), .silence(1), .pass(.milliseconds(6_200)), .hear(1), .pass(.seconds(20))],
            ["0 online", "4500 unstable silent", "6250 online"]),
        Row(
            "one that was taken for gone, and is not",
            [.open(1), .silence(1), .pass(.seconds(11)), .hear(1), .pass(.seconds(20))],
            ["0 online", "4500 unstable silent", "9000 offline timeout", "11500 online"]),
        Row(
            "a path that is lost and found",
            [.open(1), .pass(.seconds(1)), .losePath(1), .pass(.seconds(1)), .move(1, relay), .pass(.seconds(60))],
            ["0 online", "1000 unstable path_lost", "2000 online"]),
        Row(
            "a path that is lost and speaks again",
            [.open(1), .pass(.seconds(1)), .losePath(1), .pass(.seconds(60))],
            ["0 online", "1000 unstable path_lost", "5500 online"]),
        Row(
            "a path that is looked for in vain, from relay to relay",
            [.open(1, relay), .silence(1), .pass(.seconds(5))]
                + (0..<12).flatMap { _ in [.losePath(1), .move(1, relay), .pass(.milliseconds(500))] as [Step] }
                + [.pass(.seconds(20))],
            ["0 online", "4500 unstable silent", "13000 offline timeout"]),
        Row(
            "another path is told", [.open(1, relay), .pass(.seconds(1)), .move(1, .punched), .pass(.seconds(60))],
            ["0 online", "1000 online"]),
        Row(
            "a relay that ends the circuit, and nobody comes back",
            [.open(1, relay), .pass(.seconds(5)), .close(1, .closedByPeer(.relayEnded)), .pass(.seconds(60))],
            ["0 online", "5000 unstable path_lost", "18000 offline lost"]),
        Row(
            "the same, and the peer comes by another",
            [
                .open(1, relay), .close(1, .closedByPeer(.relayEnded)), .pass(.seconds(5)), .open(2),
                .pass(.seconds(70)),
            ],
            ["0 online", "0 unstable path_lost", "5000 online"]),
        Row(
            "a process that was killed and runs again: its reset, then its new session",
            [.open(1), .pass(.seconds(60)), .close(1, .transport), .pass(.seconds(2)), .open(2), .pass(.seconds(70))],
            ["0 online", "60000 unstable path_lost", "62000 online"]),
        Row(
            "two processes of one identity: one that stops changes nothing",
            [
                .open(1), .open(2), .pass(.seconds(5)), .close(1, .closedByPeer(.goodbye)), .pass(.seconds(60)),
                .close(2, .closedByPeer(.goodbye)),
            ], ["0 online", "65000 offline goodbye"]),
        Row(
            "nor does one that dies",
            [.open(1), .open(2), .silence(1), .pass(.seconds(11)), .close(1, .timeout), .pass(.seconds(60))],
            ["0 online"]),
        Row(
            "but the last of them does",
            [.open(1), .open(2), .silence(1), .silence(2), .pass(.seconds(20))],
            ["0 online", "4500 unstable silent", "9000 offline timeout"]),
        Row(
            "a restart is no flapping",
            [
                .open(1), .pass(.seconds(5)), .close(1, .closedByPeer(.goodbye)), .pass(.seconds(1)), .open(2),
                .pass(.seconds(90)),
            ], ["0 online", "5000 offline goodbye", "6000 online"]),
        Row(
            "two of them are, until a minute after the first",
            [
                .open(1), .pass(.seconds(5)), .close(1, .closedByPeer(.goodbye)), .pass(.seconds(1)), .open(2),
                .pass(.seconds(1)), .close(2, .closedByPeer(.goodbye)), .pass(.seconds(1)), .open(3),
                .pass(.seconds(90)),
            ],
            [
                "0 online", "5000 offline goodbye", "6000 online", "7000 unstable flapping", "66000 online",
            ]),
        Row(
            "one that flaps and stays away is told once it has",
            [
                .open(1), .close(1, .closedByPeer(.goodbye)), .open(2), .close(2, .closedByPeer(.goodbye)),
                .pass(.seconds(100)),
            ], ["0 online", "0 offline goodbye", "0 online", "0 unstable flapping", "15000 offline goodbye"]),
        Row(
            "nor is one that dies meanwhile gone any later",
            [
                .open(1), .silence(1), .pass(.seconds(6)), .hear(1), .pass(.seconds(10)), .silence(1),
                .pass(.seconds(30)), .close(1, .timeout),
            ],
            [
                "0 online", "4500 unstable silent", "6250 online", "20500 unstable flapping", "25000 offline timeout",
            ]),
        Row(
            "a closed lid: sessions that outlive it are heard before they are judged",
            [
                .open(1), .pass(.seconds(10)), .silence(1), .standStill(.seconds(600)), .pass(.seconds(3)), .hear(1),
                .pass(.seconds(60)),
            ],
            ["0 online"]),
        Row(
            "and those that are not heard are silent from then on",
            [.open(1), .pass(.seconds(10)), .silence(1), .standStill(.seconds(600)), .pass(.seconds(60))],
            ["0 online", "614500 unstable silent", "619000 offline timeout"]),
        Row(
            "sessions that a closed lid ended have their peers' time to come back",
            [
                .open(1), .pass(.seconds(10)), .silence(1), .standStill(.seconds(600)), .close(1, .timeout),
                .pass(.seconds(60)),
            ], ["0 online", "610000 unstable resumed", "625000 offline timeout"]),
        Row(
            "and are online when they do",
            [
                .open(1), .pass(.seconds(10)), .silence(1), .standStill(.seconds(600)), .close(1, .transport),
                .pass(.seconds(5)), .open(2), .pass(.seconds(60)),
            ], ["0 online", "610000 unstable resumed", "615000 online"]),
        Row(
            "a goodbye that was waiting is one all the same",
            [.open(1), .pass(.seconds(10)), .standStill(.seconds(600)), .close(1, .closedByPeer(.goodbye))],
            ["0 online", "610000 offline goodbye"]),
        Row(
            "each code that says something",
            [
                .open(1), .close(1, .closedByPeer(.limit)), .pass(.seconds(100)), .open(2),
                .close(2, .closedByPeer(.notAllowed)), .pass(.seconds(100)), .open(3),
                .close(3, .closedByPeer(.normal)),
                .pass(.seconds(100)), .open(4), .close(4, .closedByPeer(.leftRealm)), .pass(.seconds(100)), .open(5),
                .close(5, .closedLocally(.normal)), .pass(.seconds(100)), .open(6),
                .close(6, .closedByPeer(CloseCode(rawValue: .max))),
            ],
            [
                "0 online", "0 offline limit", "100000 online", "100000 offline not_allowed", "200000 online",
                "200000 offline closed", "300000 online", "300000 offline left_realm", "400000 online",
                "400000 offline closed_here", "500000 online", "500000 offline closed",
            ]),
    ]

    @Test(arguments: rows.indices) func whatIsTold(_ index: Int) {
        var bench = LivenessBench()
        Self.run(Self.rows[index].steps, &bench)
        #expect(bench.lines == Self.rows[index].told, "\(Self.rows[index].name)")
    }

    @Test func aPhonesHeartbeatIsSlower() {
        var bench = LivenessBench(keepAlive: .seconds(20), idleTimeout: .seconds(60))
        Self.run([.open(1), .silence(1), .pass(.seconds(100))], &bench)
        #expect(bench.lines == ["0 online", "21500 unstable silent", "60000 offline timeout"])
    }

    // MARK: In a realm

    /// Who is let in proves within a round trip that it is a member: it is told once, as one.
    @Test func aMemberIsToldAsOne() {
        var bench = LivenessBench(inRealm: true)
        bench.open(1, Self.peer, as: .stranger)
        bench.pass(.milliseconds(300))
        #expect(bench.told.isEmpty && bench.machine.snapshot(now: bench.now).isEmpty)
        bench.admit(1)
        bench.pass(.seconds(10))
        #expect(bench.lines == ["300 online"])
        #expect(bench.told[0].presence.isMember && bench.machine.snapshot(now: bench.now).count == 1)
    }

    @Test func aStrangerOfARealmIsMarkedAndToldLater() {
        var bench = LivenessBench(inRealm: true)
        bench.open(1, Self.peer, as: .stranger)
        bench.pass(.seconds(10))
        #expect(bench.lines == ["1000 online"] && !bench.told[0].presence.isMember)
        bench.admit(1)
        #expect(bench.told.count == 2 && bench.told[1].presence.isMember)
    }

    @Test func aStrangerThatIsGoneBeforeItIsToldIsNobody() {
        var bench = LivenessBench(inRealm: true)
        for session in 1...1_000 {
            bench.open(UInt64(session), IdentityKey.generate().nodeID, as: .stranger)
            bench.close(UInt64(session), .closedByPeer(.normal))
        }
        #expect(bench.told.isEmpty && bench.machine.presentCount == 0 && bench.machine.goneCount == 0)
    }

    /// Leaving a realm closes its members' sessions; in the next one they are strangers.
    @Test func membershipEndsWithTheRealm() {
        var bench = LivenessBench(inRealm: true)
        bench.open(1, Self.peer)
        bench.admit(1)
        bench.machine.leftRealm()
        bench.close(1, .closedLocally(.leftRealm))
        #expect(bench.lines == ["0 online", "0 offline closed_here"] && bench.told[1].presence.isMember)
        bench.open(2, Self.peer)
        bench.pass(.seconds(5))
        #expect(bench.told.count == 3 && !bench.told[2].presence.isMember)
    }

    // MARK: Limits

    /// A peer that flaps a thousand times makes a handful of events, and ends as what it is.
    @Test func aPeerThatFlapsAThousandTimesIsToldAFewTimes() {
        var bench = LivenessBench()
        for session in 1...1_000 {
            bench.open(UInt64(session), Self.peer)
            bench.pass(.milliseconds(20))
            bench.close(UInt64(session), .closedByPeer(.goodbye))
            bench.pass(.milliseconds(10))
        }
        #expect(bench.told.count <= WatchedPeer.tellings, "\(bench.lines)")
        bench.pass(.seconds(100))
        #expect(bench.told.last?.presence.state == .offline)
        #expect(bench.machine.presentCount == 0 && bench.machine.goneCount == 0 && bench.machine.wake == nil)
    }

    /// A relay that lies about a path, or a path that really does so, is told now and then.
    @Test func aPathThatChangesAThousandTimesIsToldAFewTimes() {
        var bench = LivenessBench()
        bench.open(1, Self.peer, Self.relay)
        for round in 0..<1_000 {
            bench.move(1, round % 2 == 0 ? .punched : Self.relay)
            bench.losePath(1)
            bench.pass(.milliseconds(30))
        }
        #expect(bench.told.count <= WatchedPeer.tellings, "\(bench.lines)")
        bench.move(1, .direct)
        bench.pass(.seconds(200))
        #expect(bench.told.last?.presence.path == .direct && bench.told.last?.presence.state == .online)
    }

    /// What happens all the time keeps nobody from being heard.
    @Test func eventsWithoutEndPutOffNoLook() {
        var bench = LivenessBench()
        bench.open(1, Self.peer)
        for _ in 0..<400 {
            bench.losePath(1)
            bench.pass(.milliseconds(100))
        }
        bench.pass(.seconds(10))
        #expect(bench.lines == ["0 online", "0 unstable path_lost", "44500 online"])
    }

    /// Thousands of strangers make no more events together than their measure, and push no member out.
    @Test func strangersFillNothing() {
        var bench = LivenessBench(present: 50)
        bench.open(1, Self.peer)
        bench.admit(1)
        for session in 2...5_000 {
            bench.open(UInt64(session), IdentityKey.generate().nodeID, as: .stranger)
            bench.pass(.milliseconds(1))
        }
        #expect(bench.machine.presentCount == 50)
        let seconds = bench.milliseconds / 1_000 + 1
        #expect(bench.told.count <= LivenessMachine.strangersBurst + LivenessMachine.strangersRate * seconds + 1)
        #expect(bench.machine.snapshot(now: bench.now).contains { $0.nodeID == Self.peer && $0.isMember })
        // A member finds a place all the same, and who made room was told.
        let other = IdentityKey.generate().nodeID
        bench.open(9_999, other)
        bench.admit(9_999)
        #expect(bench.machine.presentCount == 50)
        #expect(bench.told.suffix(3).contains { $0.presence.reason == .unwatched })
        #expect(bench.told.last?.presence.nodeID == other)
        // Members give way to nobody.
        for session in 10_000..<10_100 { bench.open(UInt64(session), IdentityKey.generate().nodeID) }
        #expect(bench.machine.presentCount == 50)
        #expect(bench.machine.snapshot(now: bench.now).contains { $0.nodeID == Self.peer })
    }

    /// Of those that have gone strangers are forgotten first, then who did nothing for longest.
    @Test func theGoneAreBounded() {
        var bench = LivenessBench(present: 5_000)
        bench.open(1, Self.peer)
        bench.admit(1)
        bench.close(1, .closedByPeer(.goodbye))
        let count = UInt64(LivenessMachine.goneLimit)
        for session in 2...count + 1 {
            let standing: LivenessMachine.Standing = session == 2 ? .stranger : .chosen
            bench.open(session, IdentityKey.generate().nodeID, as: standing)
            bench.pass(.milliseconds(1))
            bench.close(session, .closedByPeer(.normal))
        }
        #expect(bench.machine.goneCount == LivenessMachine.goneLimit)
        // It is remembered, though it left before all others: another restart within the minute is seen as flapping.
        bench.open(9_000, Self.peer)
        bench.close(9_000, .closedByPeer(.goodbye))
        #expect(bench.told.last?.presence.reason == .flapping)
        bench.pass(.seconds(200))
        for session in 10_000...10_000 + 2 * count {
            bench.open(session, IdentityKey.generate().nodeID)
            bench.close(session, .closedByPeer(.normal))
        }
        #expect(bench.machine.goneCount == LivenessMachine.goneLimit)
    }

    @Test func theLargestTimesAreBorne() {
        var bench = LivenessBench(keepAlive: .seconds(Int64.max / 2), idleTimeout: .seconds(Int64.max / 2))
        bench.open(1, Self.peer)
        bench.silence(1)
        bench.standStill(.nanoseconds(Int64.max))
        bench.fire()
        bench.standStill(.nanoseconds(Int64.max))
        bench.fire()
        bench.standStill(.nanoseconds(Int64.max))
        bench.close(1, .timeout)
        bench.open(2, Self.peer)
        bench.fire()
        #expect(bench.now == .distantFuture)
    }

    /// Time that goes back, which no monotonic clock does, changes nothing.
    @Test func anInstantBeforeTheLastIsBorne() {
        var machine = LivenessMachine(
            times: LivenessTimes(keepAlive: .seconds(3), idleTimeout: .seconds(9)),
            limits: LivenessMachine.Limits(present: 4))
        let late = NetworkInstant(nanoseconds: 50_000_000_000)
        let early = NetworkInstant(nanoseconds: 0)
        #expect(machine.opened(1, of: Self.peer, over: .direct, as: .chosen, now: late).count == 1)
        #expect(machine.timerFired(now: early) { _ in early }.isEmpty)
        #expect(machine.closed(1, SessionEnd(.closedByPeer(.goodbye)), heardAt: early, now: early).count == 1)
    }
}
