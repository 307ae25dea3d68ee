import DeP2P
import DeP2PApp
import DeP2PIdentity
import DeP2PReach
import DeP2PRealm
import DeP2PSessions
import Testing

@testable import DeP2PCLI

@Suite struct EngineErrorsTests {
    private static func connect(_ code: ConnectError.Code) -> ConnectError {
        ConnectError(code, nodeID: nil, reason: "why \u{1b}[31m", remedy: .advice("what to do"))
    }

    private static let errors: [(any Error, CLIError.Code)] = [
        (connect(.noAddress), .unknownPeer), (connect(.nameUnknown), .unknownHost),
        (connect(.resolverFailed), .resolverFailed), (connect(.timeout), .timeout),
        (connect(.refused), .peerOffline), (connect(.unreachable), .noPath), (connect(.wrongPeer), .wrongPeer),
        (connect(.handshakeFailed), .protocolViolation), (connect(.dialledSelf), .usage), (connect(.limit), .busy),
        (RealmError(.refused), .notMember), (RealmError(.notMember), .notMember), (RealmError(.timeout), .timeout),
        (RealmError(.busy), .busy), (SessionError(.closed(SessionEnd(.closedByPeer(.limit)))), .busy),
        (MessagingError(.tooLarge(limit: 1)), .tooLarge), (MessagingError(.unknownProtocol), .refused),
        (MessagingError(.handlerFailed), .peerFailed), (MessagingError(.busy), .busy),
        (SessionError(.closed(SessionEnd(.closedByPeer(.notAllowed)))), .refused),
        (SessionError(.closed(SessionEnd(.closedByPeer(.leftRealm)))), .notMember),
        (SessionError(.closed(SessionEnd(.timeout))), .peerOffline), (SessionError(.violation), .protocolViolation),
        (CancellationError(), .interrupted),
        (TransferError(.stalled, ""), .stalled), (TransferError(.noSpace, ""), .noSpace),
        (TransferError(.hashMismatch, ""), .hashMismatch), (TransferError(.notFound, ""), .inputMissing),
        (TransferError(.tooLarge, "", isFromPeer: true), .refused), (TransferError(.connectionLost, ""), .peerOffline),
        (TransferError(.cancelled, "", isFromPeer: true), .peerFailed), (TransferError(.cancelled, ""), .interrupted),
        (DeP2PError(.addressInUse, ""), .addressInUse), (Sandbox.Failure(message: "?"), .internalError),
    ]

    @Test(arguments: errors.indices)
    func everyErrorHasItsCodeAlsoInsideTheNodes(_ index: Int) {
        let (error, code) = Self.errors[index]
        #expect(CLIError(error).code == code, "\(error)")
        #expect(CLIError(DeP2PError(error)).code == code, "\(error)")
    }

    /// A code that nobody gave a status would end as a bug of dep2p's.
    @Test(arguments: DeP2PError.Code.Known.allCases)
    func everyCodeOfTheEngineHasAStatusOfItsOwn(_ known: DeP2PError.Code.Known) {
        let code = DeP2PError.Code(rawValue: known.rawValue)
        #expect((CLIError(DeP2PError(code, "")).code == .internalError) == (code == .internalError))
    }

    /// Issue 7.5: what another try may mend is 75, not a refusal's 77.
    @Test func busyIsWorthAnotherTry() {
        for error in [RealmError(.busy), MessagingError(.busy), SessionError(.busy)] as [any Error] {
            #expect(CLIError(error).code.status == .tryAgain)
        }
    }

    @Test func whatAPeerSaidIsEscaped() {
        #expect(CLIError(Self.connect(.timeout)).message == "why \\u{1b}[31m")
        let transfer = TransferError(.notAllowed, "go \u{9b}2J away", isFromPeer: true)
        #expect(CLIError(transfer).message == "go \\u{9b}2J away")
    }

    @Test func limitsAreNamed() {
        let error = CLIError(TransferError(.tooLarge, "8 bytes", isFromPeer: true, limit: 4))
        #expect(error.fields == [.int("limit", 4)])
        #expect(error.hint == "the receiver sets its limit with --max-size")
    }

    /// Issue 9.7: the engine names what helps, and the command its own options.
    @Test func remediesAreWordedAsOptions() {
        let full = RelayError(.limitReached, limit: .init(name: RelayLimits.Name.requests, maximum: 1))
        #expect(!full.description.contains("--") && full.remedy?.hint.contains("--max-requests") == true)
        #expect(Remedy.raiseRelayLimit("of-tomorrow").hint == Remedy.raiseRelayLimit("of-tomorrow").description)
        #expect(CLIError(DeP2PError(.limit, "", remedy: .raisePreset)).hint?.contains("--preset") == true)
    }

    @Test func everyLimitThatARelayNamesHasAnOption() {
        #expect(Set(RelayLimits.options.keys) == Set(RelayLimits.Name.all))
        let options = OptionEntry.relayOptions.map(\.long)
        #expect(RelayLimits.options.values.allSatisfy { options.contains($0.long) })
    }

    @Test func attemptsAreShownWhenThereAreSeveral() {
        let attempt = ConnectAttempt(stage: .direct, place: .text("a"), elapsed: .zero, outcome: .timeout)
        let error = ConnectError(.timeout, nodeID: nil, reason: "", remedy: nil, attempts: [attempt, attempt])
        #expect(CLIError(error).details.count == 3)
        #expect(CLIError(error).fields.map(\.name) == ["attempts"])
    }
}
