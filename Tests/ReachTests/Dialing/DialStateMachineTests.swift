import DeP2PIdentity
import DeP2PReactor
import Testing

@testable import DeP2PReach
@testable import DeP2PSessions

@Suite struct DialStateMachineTests {
    private typealias Candidate = DialMachine.Candidate

    private func at(_ milliseconds: UInt64) -> NetworkInstant { NetworkInstant(nanoseconds: milliseconds * 1_000_000) }

    private func candidate(_ text: String) throws -> Candidate {
        let ip = try #require(IPAddress(text))
        return Candidate(.direct(SocketAddress(ip, port: 4001)), .text(text))
    }

    @Test func familiesAlternateAndStartAQuarterSecondApart() throws {
        let names = ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "192.0.2.3"]
        let all = try names.map(candidate)
        var machine = DialMachine(startedAt: at(0), candidateLimit: 16)
        var order: [String] = []
        var actions = machine.add(all, now: at(0)) + machine.noMoreCandidates(now: at(0))
        for step in 1...5 {
            for case .start(_, let candidate) in actions { order.append("\(candidate.place)") }
            #expect(order.count == step)
            let early = machine.timerFired(now: at(UInt64(step) * 250 - 1))
            #expect(!early.contains { if case .start = $0 { true } else { false } })
            actions = machine.timerFired(now: at(UInt64(step) * 250))
        }
        #expect(order == ["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2", "192.0.2.3"])
    }

    @Test func aFailureStartsTheNextAtOnce() throws {
        let (six, four) = (try candidate("2001:db8::1"), try candidate("192.0.2.1"))
        var machine = DialMachine(startedAt: at(0), candidateLimit: 16)
        #expect(machine.add([four, six], now: at(0)) == [.start(0, six)])
        #expect(machine.wake == at(250))
        _ = machine.noMoreCandidates(now: at(0))
        let actions = machine.attemptFailed(0, TransportFailure(.refused, detail: "x"), now: at(5))
        #expect(actions.contains { if case .start(1, _) = $0 { true } else { false } })
        #expect(machine.attemptFailed(1, TransportFailure(.timeout, detail: ""), now: at(9)) == [.exhausted])
        #expect(machine.records.map(\.outcome) == [.refused, .timeout])
        #expect(machine.records.map(\.elapsed) == [.milliseconds(5), .milliseconds(9)])
    }

    @Test func theWinnerCancelsTheRest() throws {
        let (six, four) = (try candidate("2001:db8::1"), try candidate("192.0.2.1"))
        var machine = DialMachine(startedAt: at(0), candidateLimit: 16)
        _ = machine.add([six, four], now: at(0))
        _ = machine.noMoreCandidates(now: at(0))
        _ = machine.timerFired(now: at(250))
        #expect(machine.attemptSucceeded(1, now: at(260)) == [.connected(1, cancel: [0])])
        #expect(machine.records.map(\.outcome) == [.connected, .superseded])
        #expect(machine.attemptSucceeded(0, now: at(261)) == [])
        #expect(machine.attemptFailed(0, TransportFailure(.timeout, detail: ""), now: at(262)) == [])
    }

    @Test func waitsForNamesStillBeingResolved() throws {
        var machine = DialMachine(startedAt: at(0), candidateLimit: 16)
        #expect(machine.add([], now: at(0)) == [])
        let late = try candidate("192.0.2.9")
        #expect(machine.add([late], now: at(40)) == [.start(0, late)])
        #expect(machine.attemptFailed(0, TransportFailure(.refused, detail: ""), now: at(41)) == [])
        #expect(machine.noMoreCandidates(now: at(50)) == [.exhausted])
    }

    @Test func keepsToTheLimitAndDropsRepetitions() throws {
        let names = (1...40).flatMap { ["192.0.2.\($0)", "192.0.2.\($0)"] }
        let all = try names.map(candidate)
        var machine = DialMachine(startedAt: at(0), candidateLimit: 16)
        var starts = 0
        var actions = machine.add(all, now: at(0)) + machine.noMoreCandidates(now: at(0))
        for step in 1...60 {
            starts += actions.count { if case .start = $0 { true } else { false } }
            actions = machine.timerFired(now: at(UInt64(step) * 250))
        }
        #expect(starts == 16)
    }

    @Test func nothingToDialIsNoAddress() {
        var machine = DialMachine(startedAt: at(0), candidateLimit: 16)
        #expect(machine.noMoreCandidates(now: at(0)) == [.exhausted])
        #expect(ConnectError.summary(of: machine.records, nodeID: nil).code == .noAddress)
    }

    /// Each outcome has a code of its own, and what answered outweighs what did not.
    @Test(arguments: [
        (ConnectAttempt.Outcome.wrongPeer, ConnectError.Code.wrongPeer), (.closed, .closed),
        (.handshakeFailed, .handshakeFailed), (.refused, .refused), (.timeout, .timeout), (.unreachable, .unreachable),
        (.nameUnknown, .nameUnknown), (.resolverFailed, .resolverFailed), (.unsupported, .noAddress),
    ])
    func summaryNamesTheMostTelling(_ pair: (outcome: ConnectAttempt.Outcome, code: ConnectError.Code)) {
        let attempts = [pair.outcome, .unsupported].map {
            ConnectAttempt(stage: .direct, place: .text("a"), elapsed: .zero, outcome: $0, detail: "d")
        }
        let error = ConnectError.summary(of: attempts, nodeID: nil)
        #expect(error.code == pair.code)
        #expect(!error.reason.isEmpty && error.remedy != nil && error.attempts == attempts)
    }

    /// A lookup that the end of the whole connect cut short is no sign of a firewall.
    @Test func aResolverThatWasSilentToTheEndIsTheResolversFault() {
        let attempts = ["/dns4/a.example/udp/1/quic-v1", "/dns4/b.example/udp/1/quic-v1"].map {
            ConnectAttempt(stage: .resolve, place: .text($0), elapsed: .zero, outcome: .timeout, detail: "no answer")
        }
        #expect(ConnectError.summary(of: attempts, nodeID: nil).code == .resolverFailed)
    }
}
