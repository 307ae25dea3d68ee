import DeP2P
import DeP2PIdentity
import DeP2PReach
import DeP2PSessions
import Testing

@testable import DeP2PApp
@testable import DeP2PCLI

/// Issue 9.7: every code that can reach the command, those that travel on the wire too, has an exit status. The mappings
/// have no default, so a new code without an answer does not compile; what it is answered with is held here.
@Suite struct EveryCodeTests {
    /// - Parameter isBug: the code stands for a fault of the program itself.
    private func check(_ error: any Error, isBug: Bool = false) {
        for mapped in [CLIError(error), CLIError(DeP2PError(error))] {
            #expect(CLIError.Code.all.contains(mapped.code) || mapped.code == .internalError, "\(error)")
            #expect(mapped.code.status != .ok && (mapped.code == .internalError) == isBug, "\(error): \(mapped.code)")
        }
    }

    @Test(arguments: DeP2PError.Code.Known.allCases)
    func ofTheFacade(_ known: DeP2PError.Code.Known) {
        check(DeP2PError(DeP2PError.Code(rawValue: known.rawValue), ""), isBug: known == .internalError)
    }

    @Test(arguments: ConnectError.Code.allCases)
    func ofConnecting(_ code: ConnectError.Code) {
        check(ConnectError(code, nodeID: nil, reason: "", remedy: nil))
    }

    @Test(arguments: TransferError.Code.Known.allCases)
    func ofTransfersAsAPeerTellsThem(_ known: TransferError.Code.Known) {
        let code = TransferError.Code(number: known.rawValue)
        #expect(code.known == known)
        check(TransferError(code, "", isFromPeer: true))
        check(TransferError(code, ""), isBug: known == .failed)
    }

    /// Of keys and addresses the command maps the errors itself: it reads them before there is a node.
    @Test(arguments: IdentityError.Code.allCases)
    func ofKeysAndAddresses(_ code: IdentityError.Code) {
        let mapped = CLIError(IdentityError(code, ""))
        #expect(CLIError.Code.all.contains(mapped.code) && mapped.code != .internalError)
    }

    @Test(arguments: CloseCode.Known.allCases)
    func thatConnectionsAreClosedWith(_ known: CloseCode.Known) {
        let end = SessionEnd(.closedByPeer(CloseCode(rawValue: known.rawValue)))
        for error in [end, SessionError(.closed(end)), MessagingError(.offline(end))] as [any Error] { check(error) }
    }

    @Test(arguments: StreamCode.Known.allCases)
    func thatStreamsAreResetWith(_ known: StreamCode.Known) {
        check(SessionError(.reset(StreamCode(rawValue: known.rawValue))))
    }

    @Test func whatThisVersionDoesNotKnowHasOneToo() {
        check(SessionEnd(.closedByPeer(CloseCode(rawValue: 0xd0ff))))
        check(SessionError(.reset(StreamCode(rawValue: 0xd1ff))))
        check(TransferError(TransferError.Code(number: 4_000), "", isFromPeer: true))
    }

    @Test func anApplicationIsToldWhyItWasTurnedAway() {
        let end = SessionEnd(.closedByPeer(.notAllowed))
        #expect(DeP2PError(SessionError(.closed(end))).code == .notAllowed)
        #expect(DeP2PError(SessionError(.closed(SessionEnd(.closedByPeer(.leftRealm))))).code == .notMember)
        #expect(DeP2PError(MessagingError(.offline(SessionEnd(.closedByPeer(.limit))))).code == .busy)
    }
}
