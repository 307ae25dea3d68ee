import DeP2PSessions
import Testing

@testable import DeP2PCLI

@Suite struct AttemptTableTests {
    private let attempts = [
        ConnectAttempt(
            stage: .direct, place: .text("/ip4/192.0.2.7/udp/1/quic-v1"), elapsed: .seconds(5), outcome: .timeout,
            detail: "no answer"),
        ConnectAttempt(
            stage: .resolve, place: .text("evil\u{1b}[31m"), elapsed: .microseconds(120), outcome: .nameUnknown),
    ]

    @Test func rowsAlignAndAreEscaped() {
        #expect(
            AttemptTable.lines(attempts) == [
                "  stage    address                       time     outcome",
                "  direct   /ip4/192.0.2.7/udp/1/quic-v1  5.0 s    timeout: no answer",
                "  resolve  evil\\u{1b}[31m                0.12 ms  nameUnknown",
            ])
    }

    @Test func aLongTableIsCut() {
        let lines = AttemptTable.lines(Array(repeating: attempts[0], count: 100))
        #expect(lines.count == 18)
        #expect(lines.last == "  and 84 more")
    }

    @Test func fields() {
        let text = JSONValue.object([AttemptTable.field([attempts[0]])]).encoded
        #expect(
            text == #"{"attempts":[{"stage":"direct","address":"/ip4/192.0.2.7/udp/1/quic-v1","elapsed_ms":5000.000,"#
                + #""outcome":"timeout","detail":"no answer"}]}"#)
    }
}
