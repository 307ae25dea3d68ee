import DeP2PIdentity
import DeP2PQUIC
import DeP2PReach
import Foundation
import Testing

@testable import DeP2P
@testable import DeP2PSessions

/// The pure parts of what is shown: JSON, times, metrics, failures, and the answer to "am I reachable".
@Suite struct IntrospectionTextTests {
    @Test func jsonIsWrittenInASCIIAndReadBackAsItWas() throws {
        let text = "a\"b\\c\n\u{1b}[31m \u{202e}evil ü 🦊 </script>\u{0}"
        let value = JSON.object([
            .init("text", .string(text)), .init("int", .int(-5)), .init("none", .null), .init("yes", .bool(true)),
            .init("list", .array([.thousandths(1_005), .thousandths(-7), .thousandths(123_456)])),
            .init("e", .object([])), .init("huge", .number(UInt64.max)),
        ])
        #expect(value.encoded.allSatisfy { $0 == 0x0a || (0x20...0x7e).contains($0) })
        let parsed = try #require(try JSONSerialization.jsonObject(with: Data(value.encoded)) as? [String: Any])
        #expect(parsed["text"] as? String == text && parsed["int"] as? Int == -5 && parsed["yes"] as? Bool == true)
        #expect(parsed["none"] is NSNull && parsed["huge"] as? Int64 == .max)
        #expect(parsed["list"] as? [Double] == [1.005, -0.007, 123.456])
    }

    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00Z"), (951_782_399_999, "2000-02-28T23:59:59Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (1_795_715_999_000, "2026-11-26T17:59:59Z"), (4_107_542_400_000, "2100-03-01T00:00:00Z"),
            (UInt64.max, "9999-12-31T23:59:59Z"),
        ] as [(UInt64, String)])
    func timesAreRFC3339(milliseconds: UInt64, text: String) { #expect(Timestamp.text(milliseconds) == text) }

    @Test func metricsNameEachFamilyOnce() {
        var text = MetricsText()
        text.add("a_total", .counter, "Things.", [.init(1, [("path", "direct")]), .init(2, [("path", "re\"l\\a\ny")])])
        text.add("b", .gauge, "Whether.", [.init(nil)])
        text.add("c", .gauge, "Nothing.", [])
        #expect(
            text.text == """
                # HELP a_total Things.
                # TYPE a_total counter
                a_total{path="direct"} 1
                a_total{path="re\\"l\\\\a\\ny"} 2
                # HELP b Whether.
                # TYPE b gauge
                b NaN

                """)
    }

    @Test func failuresAreTheLastFewAndNoneTooLong() {
        var log = FailureLog()
        for number in 0..<100 {
            log.note(
                .connectFailed(nil, reason: "\(number) " + String(repeating: "ü", count: 10_000)), at: UInt64(number))
        }
        log.note(.networkChanged, at: 100)
        #expect(log.failures.count == FailureLog.limit && log.count == 100)
        #expect(log.failures.last?.at == 99 && log.failures.first?.at == UInt64(100 - FailureLog.limit))
        #expect(log.failures.allSatisfy { $0.reason.utf8.count <= FailureLog.reasonLimit })
    }

    @Test func aGoodbyeIsNoFailureAndASilenceIs() {
        let subject = NodeEvent.SessionSubject(id: 1, nodeID: IdentityKey.generate().nodeID)
        func failure(_ cause: SessionEnd.Cause) -> String? {
            FailureLog.failure(.session(subject, .ended(SessionEnd(cause))))?.what
        }
        #expect(failure(.closedByPeer(.goodbye)) == nil && failure(.closedLocally(.limit)) == nil)
        #expect(failure(.closedByPeer(.normal)) == nil && failure(.closedByPeer(.duplicate)) == nil)
        #expect(failure(.timeout) == "connection" && failure(.transport) == "connection")
        #expect(failure(.closedByPeer(.notAllowed)) == "connection")
    }

    private func answer(_ change: (inout ReachabilityAnswer.Facts) -> Void) -> ReachabilityAnswer {
        var facts = ReachabilityAnswer.Facts()
        change(&facts)
        return ReachabilityAnswer(facts)
    }

    @Test func theAnswerSaysWhyNotAndWhatHelps() {
        #expect(answer { _ in }.answer == "unknown")
        #expect(answer { ($0.state, $0.address) = (.reachable, "192.0.2.1:4001") }.why.contains("192.0.2.1:4001"))
        #expect(answer { $0.state = .unreachable }.answer == "no")
        #expect(answer { $0.state = .unreachable }.hint?.contains("relay") == true)
        #expect(answer { ($0.state, $0.hasPort) = (.unreachable, true) }.why.contains("router"))
        #expect(answer { ($0.state, $0.relaysWanted, $0.relaysHeld) = (.unreachable, 2, 1) }.answer == "relay")
        #expect(answer { ($0.relaysWanted, $0.relaysHeld) = (2, 0) }.answer == "no")
        #expect(answer { ($0.usesDirect, $0.relaysHeld) = (false, 2) }.why == "Others reach it through 2 relays only.")
        #expect(answer { $0.usesDirect = false }.hint == "Give it a relay.")
        for state in [ReachabilityState.unknown, .reachable, .unreachable] {
            for (wanted, held) in [(0, 0), (1, 0), (1, 1), (3, 2)] {
                let answer = answer { ($0.state, $0.relaysWanted, $0.relaysHeld) = (state, wanted, held) }
                #expect(answer.why.hasSuffix(".") && !answer.why.hasSuffix(".."))
            }
        }
    }
}
