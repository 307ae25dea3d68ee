internal import DeP2PQUIC
package import DeP2PReactor
internal import DeP2PWire

/// Why a stream of a session could not be opened or used.
package struct SessionError: Error, Equatable, Sendable, CustomStringConvertible {
    package enum Code: Hashable, Sendable {
        /// The connection has ended: how.
        case closed(SessionEnd)
        /// The connection is not admitted to the realm.
        case notMember
        /// The peer does not speak the protocol.
        case unsupported
        /// The peer serves as many streams as it can.
        case busy
        /// The peer reset the stream, with this code.
        case reset(StreamCode)
        /// What the peer sent is not what the protocol says.
        case violation
        case timeout
    }

    package let code: Code
    package let detail: String

    package init(_ code: Code, detail: String = "") {
        self.code = code
        self.detail = detail
    }

    init(_ error: MultistreamError) {
        self.init(error.code == .notAvailable ? .unsupported : .violation, detail: error.description)
    }

    /// What `error`, thrown by a stream of `session`, means to the protocol above.
    @NetworkActor
    package init(_ error: any Error, on session: Session) {
        switch error {
        case let error as SessionError: self = error
        case let error as MultistreamError: self.init(error)
        case is DeadlineExceeded: self.init(.timeout)
        case let error as StreamError: self.init(error, on: session)
        default: self.init(.violation, detail: "\(error)")
        }
    }

    @NetworkActor
    private init(_ error: StreamError, on session: Session) {
        switch error.code {
        case .reset(let code), .stopped(let code):
            switch StreamCode(rawValue: code) {
            case .notMember: self.init(.notMember, detail: "the peer does not hold this connection for a member's")
            case .busy: self.init(.busy, detail: "the peer serves no more streams at once")
            case let code:
                // A connection that ends takes its streams along.
                self.init(session.end.map { .closed($0) } ?? .reset(code), detail: error.description)
            }
        case .connectionClosed, .alreadyClosed:
            if let end = session.end {
                self.init(.closed(end))
            } else {
                self.init(.reset(.cancelled), detail: error.description)
            }
        }
    }

    package static func == (left: Self, right: Self) -> Bool { left.code == right.code }

    package var description: String {
        let text =
            switch code {
            case .closed(let end): "the connection is gone: \(end)"
            case .notMember: "not a member of the realm"
            case .unsupported: "the peer does not speak this protocol"
            case .busy: "the peer is busy"
            case .reset(let code): "the peer gave the stream up (\(code))"
            case .violation: "the peer broke the protocol"
            case .timeout: "no answer in time"
            }
        return detail.isEmpty ? text : "\(text): \(detail)"
    }
}
