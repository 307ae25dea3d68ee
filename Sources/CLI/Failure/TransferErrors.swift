import DeP2P

extension CLIError {
    /// What a transfer, or one file of it, failed with.
    init(transfer error: TransferError) {
        let code = Self.code(error)
        var fields: [JSONField] = []
        if let limit = error.limit { fields.append(.int("limit", limit)) }
        if let available = error.available { fields.append(.int("available", available)) }
        self.init(code, TerminalText.escape(error.description), hint: Self.hint(for: code, error), fields: fields)
    }

    /// Without a default: a code that has no status does not compile.
    private static func code(_ error: TransferError) -> Code {
        switch error.code.known {
        case .notAllowed, .tooLarge, .oneFileOnly: .refused
        case .noSpace: .noSpace
        case .badName: .badName
        case .busy: .busy
        case .badOffer: .tooLarge
        case .fileAccess: .ioError
        case .changedWhileSending: .changed
        case .hashMismatch: .hashMismatch
        case .protocolViolation: .protocolViolation
        case .stalled: .stalled
        case .notFound, .notAFile: .inputMissing
        case .connectionLost: .peerOffline
        case .cancelled: error.isFromPeer ? .peerFailed : .interrupted
        case .failed: error.isFromPeer ? .peerFailed : .internalError
        }
    }

    private static func hint(for code: Code, _ error: TransferError) -> String? {
        switch (code, error.code) {
        case (.stalled, _), (.peerOffline, _), (.peerFailed, _), (.interrupted, _): "run the same line again to resume"
        case (_, .tooLarge): "the receiver sets its limit with --max-size"
        case (_, .busy) where error.limit != nil: "the receiver sets how many it takes at once with --transfers"
        case (_, .oneFileOnly): "the receiver writes to standard output, which takes one file"
        case (_, .badOffer) where !error.isFromPeer:
            "send it in parts, or as one stream: tar -c FOLDER | dep2p send --to TARGET -"
        default: nil
        }
    }
}
