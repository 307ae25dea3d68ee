internal import DeP2PQUIC

/// What a receiver tells of what ended its transfer.
extension TransferError {
    /// What a failed stream says of the other side.
    init(lost failure: StreamError) {
        switch failure.code {
        case .reset(TransferStreamCode.cancelled), .stopped(TransferStreamCode.cancelled):
            self.init(.cancelled, "it cancelled the transfer", from: .sender, underlying: failure)
        case .reset(TransferStreamCode.stalled), .stopped(TransferStreamCode.stalled):
            self.init(.stalled, "no byte was acknowledged for too long", from: .sender, underlying: failure)
        default: self.init(.connectionLost, "the sender is gone: \(failure)", underlying: failure)
        }
    }

    /// What to tell: words of this protocol only, as an unknown error's may be anything.
    init(receiving error: any Error, cancelled: Bool) {
        if let error = error as? TransferError, !cancelled || error.code != .cancelled {
            self = error
        } else if cancelled || error is CancellationError {
            self.init(.cancelled, "the transfer was cancelled", underlying: error)
        } else {
            self.init(.failed, "an internal error", underlying: error)
        }
    }
}
