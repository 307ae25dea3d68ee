internal import DeP2PQUIC
internal import DeP2PReactor
internal import DeP2PSessions

/// The other side gave a stream up: the underlying error of ``DeP2PError`` `streamReset`.
public struct StreamReset: Error, Hashable, Sendable, CustomStringConvertible {
    /// What its application said with ``NodeStream/reset(_:)``; `nil` where that said nothing: it let go of the stream, or
    /// reads no more.
    public let code: UInt32?

    public var description: String {
        "the other side gave the stream up" + (code.map { " (code \($0))" } ?? "")
    }
}

extension DeP2PError {
    /// What `error`, of an application's stream on `session`, means to the application.
    @NetworkActor
    init(_ error: any Error, of session: Session) {
        guard let error = error as? StreamError, session.isOpen else {
            self.init(error is StreamError ? SessionError(error, on: session) : error)
            return
        }
        switch error.code {
        case .reset(let code), .stopped(let code):
            if let reset = StreamReset(StreamCode(rawValue: code)) {
                self.init(.streamReset, reset.description, underlying: reset)
            } else {
                self.init(SessionError(error, on: session))
            }
        case .alreadyClosed: self.init(.cancelled, "this side has ended the stream", underlying: error)
        case .connectionClosed: self.init(SessionError(error, on: session))
        }
    }
}

extension StreamReset {
    /// `nil` for codes by which the other node says something of its own.
    fileprivate init?(_ code: StreamCode) {
        switch code.known {
        case .done, .cancelled, .failed: self.init(code: nil)
        case .notMember, .notAllowed, .busy, .timeout, .violation: return nil
        case nil:
            guard let own = code.application else { return nil }
            self.init(code: own)
        }
    }
}
