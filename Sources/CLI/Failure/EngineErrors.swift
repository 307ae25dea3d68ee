import DeP2P

extension CLIError {
    /// What any error of the engine means to the user: the one place that turns errors into exit statuses and hints.
    init(_ error: any Error) {
        switch error {
        case let error as CLIError: self = error
        case let error as IdentityError: self.init(reading: error)
        case let error as TransferError: self.init(transfer: error)
        default: self.init(node: DeP2PError(error))
        }
    }

    private init(node error: DeP2PError) {
        if let transfer = error.underlying as? TransferError {
            self.init(transfer: transfer)
            return
        }
        let code = error.code.known.map(Self.code) ?? .internalError
        let isBug = code == .internalError
        let attempts = error.attempts
        self.init(
            code, (isBug ? "unexpected: " : "") + TerminalText.escape(error.message),
            hint: isBug ? "report it to \(Release.reportProblems)" : error.remedy.map { TerminalText.escape($0.hint) },
            details: (attempts.count > 1 ? AttemptTable.lines(attempts) : []) + SourceList.lines(error.sources),
            fields: (attempts.isEmpty ? [] : [AttemptTable.field(attempts)])
                + (error.sources.isEmpty ? [] : [SourceList.field(error.sources)]))
    }

    /// Without a default: a code that has no status does not compile.
    private static func code(_ code: DeP2PError.Code.Known) -> Code {
        switch code {
        case .noAddress: .unknownPeer
        case .nameUnknown: .unknownHost
        case .resolverFailed: .resolverFailed
        case .timeout: .timeout
        case .refused, .peerOffline: .peerOffline
        case .unreachable, .relayRefused: .noPath
        case .udpBlocked: .udpBlocked
        case .wrongPeer: .wrongPeer
        case .handshakeFailed, .protocolViolation, .unsupported: .protocolViolation
        case .dialledSelf, .invalidName: .usage
        case .notMember, .realmRefused: .notMember
        case .tooLarge: .tooLarge
        case .unknownProtocol, .notAllowed: .refused
        case .handlerFailed, .streamReset: .peerFailed
        case .busy, .limit: .busy
        case .nobodyListens: .nobodyListens
        case .addressInUse: .addressInUse
        case .cannotListen: .osError
        case .cancelled: .interrupted
        case .alreadyInRealm: .usage
        case .internalError: .internalError
        }
    }
}
