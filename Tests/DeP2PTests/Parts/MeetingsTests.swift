import DeP2PIdentity
import DeP2PReactor
import Testing

@testable import DeP2P

/// Which of the members that show themselves are being connected with, while somebody repeats what others told that have gone.
@Suite struct MeetingsTests {
    private var meetings = Meetings()

    private static func at(_ seconds: Double) -> NetworkInstant { NetworkInstant(nanoseconds: UInt64(seconds * 1e9)) }
    private static func member(_ number: Int) throws -> [Address] {
        [try Address("/ip4/10.0.0.9/udp/\(number + 1)/quic-v1")]
    }

    @Test mutating func whoIsThereIsMetHoweverManyHaveGone() throws {
        for number in 0..<Meetings.limit {
            #expect(meetings.begin(try Self.member(number), now: Self.at(0)) == .begun(insteadOf: nil))
        }
        let newcomer = try Self.member(1_000)
        #expect(meetings.begin(newcomer, now: Self.at(0.5)) == .later)
        #expect(meetings.begin(newcomer, now: Self.at(0.6)) == .ignored)
        // The first have had their chance; the newcomer has its own.
        meetings.waited(newcomer)
        #expect(meetings.begin(newcomer, now: Self.at(2)) == .begun(insteadOf: try Self.member(0)))
        // Whoever gave way is left alone for a while, whatever is told.
        #expect(meetings.begin(try Self.member(0), now: Self.at(3)) == .ignored)
        #expect(meetings.begin(try Self.member(1_001), now: Self.at(3)) == .begun(insteadOf: try Self.member(1)))
        let former = try Self.member(1)
        #expect(meetings.isUnderWay(newcomer) && !meetings.isUnderWay(former))
        meetings.end(newcomer)
        #expect(meetings.begin(try Self.member(0), now: Self.at(122)) == .begun(insteadOf: nil))
    }

    @Test mutating func whoIsConnectedGivesWayToNobodyAndHoldsNoPlace() throws {
        for number in 0..<Meetings.limit {
            _ = meetings.begin(try Self.member(number), now: Self.at(0))
            meetings.connected(try Self.member(number))
        }
        #expect(meetings.begin(try Self.member(100), now: Self.at(60)) == .begun(insteadOf: nil))
        #expect(meetings.tried(try Self.member(3), now: Self.at(61)) == 0)
        for failures in 1..<Meetings.attempts {
            #expect(meetings.tried(try Self.member(3), now: Self.at(62)) == failures)
        }
        #expect(meetings.tried(try Self.member(3), now: Self.at(70)) == nil)
        #expect(meetings.begin(try Self.member(3), now: Self.at(71)) == .ignored)
    }

    @Test mutating func whoFailedGivesWayFirst() throws {
        for number in 0..<Meetings.limit { _ = meetings.begin(try Self.member(number), now: Self.at(0)) }
        _ = meetings.tried(try Self.member(5), now: Self.at(0.1))
        #expect(meetings.begin(try Self.member(50), now: Self.at(0.2)) == .begun(insteadOf: try Self.member(5)))
    }
}
