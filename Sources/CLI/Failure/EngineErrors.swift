import AppLayer
import Identity
import QUIC
import RealmLayer
import SystemLayer

extension CLIError {
    /// What any error of the engine means to the user: the one place that turns errors into exit statuses and hints.
    init(_ error: any Error) {
        switch error {
        case let error as CLIError: self = error
        case let error as IdentityError: self.init(reading: error)
        case let error as ConnectError: self.init(connecting: error)
        case let error as RealmError: self.init(realm: error)
        case let error as MessagingError: self.init(messaging: error)
        case let error as SessionError: self.init(session: error)
        case let error as SessionEnd: self.init(Self.code(error), Self.text(error))
        case is DeadlineExceeded: self.init(.timeout, "no answer in time", hint: "--timeout sets how long to wait")
        case is CancellationError: self.init(.interrupted, "stopped")
        default:
            self.init(
                .internalError, "unexpected: \(Self.text("\(error)"))", hint: "report it to \(Release.reportProblems)")
        }
    }

    private init(connecting error: ConnectError) {
        let code: Code =
            switch error.code {
            case .noAddress: .unknownPeer
            case .nameUnknown: .unknownHost
            case .timeout: .timeout
            case .refused, .closed: .peerOffline
            case .unreachable: .noPath
            case .wrongPeer: .wrongPeer
            case .handshakeFailed: .protocolViolation
            case .limit: .busy
            case .dialledSelf: .usage
            case .cancelled: .interrupted
            }
        self.init(
            code, Self.text(error.reason), hint: Self.text(error.hint),
            details: error.attempts.count > 1 ? AttemptTable.lines(error.attempts) : [],
            fields: [AttemptTable.field(error.attempts)])
    }

    private init(realm error: RealmError) {
        switch error.code {
        case .notMember, .refused:
            self.init(.notMember, Self.text(error), hint: "both sides need the same realm key; compare their RealmIDs")
        case .timeout: self.init(.timeout, Self.text(error))
        case .closed(let end): self.init(Self.code(end), Self.text(error))
        case .violation: self.init(.protocolViolation, Self.text(error), hint: "is the other side a dep2p node?")
        case .alreadyInRealm: self.init(.internalError, Self.text(error))
        }
    }

    private init(messaging error: MessagingError) {
        let code: Code =
            switch error.code {
            case .notMember: .notMember
            case .invalidName: .usage
            case .tooLarge, .replyTooLarge: .tooLarge
            case .unknownProtocol: .refused
            case .handlerFailed: .peerFailed
            case .busy: .busy
            case .offline(let end): end.map(Self.code) ?? .peerOffline
            case .timeout: .timeout
            case .violation: .protocolViolation
            case .cancelled: .interrupted
            }
        self.init(code, Self.text(error))
    }

    private init(session error: SessionError) {
        let code: Code =
            switch error.code {
            case .closed(let end): Self.code(end)
            case .notMember: .notMember
            case .unsupported, .violation: .protocolViolation
            case .busy: .busy
            case .reset: .peerFailed
            case .timeout: .timeout
            }
        self.init(code, Self.text(error))
    }

    private static func code(_ end: SessionEnd) -> Code {
        switch end.cause {
        case .closedByPeer(.notAllowed): .refused
        case .closedByPeer(.leftRealm): .notMember
        case .closedByPeer(.limit): .busy
        case .closedByPeer(.violation), .closedLocally(.violation): .protocolViolation
        default: .peerOffline
        }
    }

    /// Words of the engine, in which a peer's may be quoted.
    private static func text(_ description: some CustomStringConvertible) -> String {
        TerminalText.escape(description.description)
    }
}
