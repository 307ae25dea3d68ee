import DeP2PIdentity
import DeP2PReactor
import Testing

@testable import DeP2PReach
@testable import DeP2PSessions

/// The one sentence that a connect which failed ends with.
@Suite struct ConnectErrorSummaryTests {
    /// Every outcome that ends an attempt without a connection, the most telling first, with what it is told as.
    private static let outcomes: [(outcome: ConnectAttempt.Outcome, code: ConnectError.Code)] = [
        (.wrongPeer, .wrongPeer), (.closed, .closed), (.handshakeFailed, .handshakeFailed), (.relayBusy, .relayBusy),
        (.peerAbsent, .peerAbsent), (.relayRefused, .relayRefused), (.refused, .refused), (.timeout, .timeout),
        (.unreachable, .unreachable), (.resolverFailed, .resolverFailed), (.nameUnknown, .nameUnknown),
        (.unsupported, .noAddress),
    ]

    private static func attempt(
        _ outcome: ConnectAttempt.Outcome, stage: ConnectAttempt.Stage = .direct, at place: String = "there",
        _ detail: String = "why"
    ) -> ConnectAttempt {
        ConnectAttempt(stage: stage, place: .text(place), elapsed: .zero, outcome: outcome, detail: detail)
    }

    private func summary(_ attempts: ConnectAttempt...) -> ConnectError {
        ConnectError.summary(of: attempts, nodeID: nil)
    }

    @Test(arguments: outcomes.indices) func eachOutcomeHasItsCodeWordsAndRemedy(_ index: Int) {
        let (outcome, code) = Self.outcomes[index]
        let error = summary(Self.attempt(outcome))
        #expect(error.code == code && error.remedy != nil)
        #expect(error.reason.contains("there") || error.reason.contains("why"), "\(error.reason)")
        #expect(!error.reason.hasSuffix("."))
    }

    /// That something answered says more than that nothing did, whichever came first.
    @Test(arguments: outcomes.indices) func theMoreTellingOutcomeWins(_ index: Int) {
        let more = Self.outcomes[index]
        for less in Self.outcomes[(index + 1)...] {
            for attempts in [
                [Self.attempt(more.outcome), Self.attempt(less.outcome)],
                [Self.attempt(less.outcome), Self.attempt(more.outcome)],
            ] {
                let error = ConnectError.summary(of: attempts, nodeID: nil)
                #expect(error.code == more.code, "\(more.outcome) beside \(less.outcome)")
                #expect(error.attempts.map(\.outcome) == attempts.map(\.outcome))
            }
        }
    }

    @Test func ofEqualOnesTheLastIsNamed() {
        let error = summary(Self.attempt(.timeout, at: "first"), Self.attempt(.timeout, at: "last"))
        #expect(error.reason.contains("last") && !error.reason.contains("first"))
    }

    @Test func withoutAnAttemptNoAddressIsKnown() {
        let nodeID = IdentityKey.generate().nodeID
        let error = ConnectError.summary(of: [], nodeID: nodeID)
        #expect(error.code == .noAddress && error.reason.contains("\(nodeID)") && error.nodeID == nodeID)
        // What another attempt has overtaken says nothing.
        #expect(summary(Self.attempt(.superseded)).code == .noAddress)
    }

    /// Nothing listens at one address of many, as at a loopback address of another machine's: the relay is what failed.
    @Test(arguments: [ConnectAttempt.Outcome.timeout, .unreachable])
    func aSilentRelayIsNamedBesideAnAddressWhereNothingListens(_ outcome: ConnectAttempt.Outcome) {
        let (refused, silent) = (
            Self.attempt(.refused, at: "loopback"), Self.attempt(outcome, stage: .relay, at: "relay", "")
        )
        let error = summary(silent, refused)
        #expect(error.code == .timeout && error.reason.contains("loopback") && error.reason.contains("relay"))
        #expect(error.reason.hasSuffix("nothing answered"))
        // A relay that said no is more telling than that.
        #expect(summary(silent, Self.attempt(.relayRefused, stage: .relay), refused).code == .relayRefused)
        // The relay's own host refuses: that is what it is.
        #expect(summary(silent, Self.attempt(.refused, stage: .relay)).code == .refused)
    }

    /// A lookup that was under way when all was over is the resolver's silence, not a host's.
    @Test func aSilentResolverIsNoSilentHost() {
        let error = summary(Self.attempt(.timeout, stage: .resolve, at: "name"))
        #expect(error.code == .resolverFailed && error.attempts.map(\.outcome) == [.resolverFailed])
        #expect(error.reason.contains("did not answer"))
    }

    @Test func theRelaysOwnRemedyIsKept() {
        let attempt = ConnectAttempt(
            stage: .relay, place: .text("relay"), elapsed: .zero, outcome: .relayBusy,
            remedy: .raiseRelayLimit("requests"))
        #expect(summary(attempt).remedy == .raiseRelayLimit("requests"))
    }
}
