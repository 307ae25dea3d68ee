package import DeP2PSessions

/// Why a request got no reply.
package struct MessagingError: Error, Equatable, Sendable, CustomStringConvertible {
    package enum Code: Hashable, Sendable {
        /// This node is in no realm, or the peer is no member of it.
        case notMember
        /// The protocol's name is empty, too long or not printable ASCII without spaces.
        case invalidName
        /// The body exceeds the limit, in bytes.
        case tooLarge(limit: UInt64)
        /// The peer has no handler of this name.
        case unknownProtocol
        /// The peer's handler failed.
        case handlerFailed
        /// The handler's reply exceeds the limit, in bytes.
        case replyTooLarge(limit: UInt64)
        /// The peer serves as many requests as it can, or its handler takes none now.
        case busy
        /// The connection ended, or there is none: how.
        case offline(SessionEnd?)
        /// No reply in time. The handler may have run.
        case timeout
        /// The peer does not speak messaging as it should.
        case violation
        case cancelled
    }

    package let code: Code
    /// More about it; from the peer for `busy`, so escape it before it meets a terminal.
    package let detail: String

    package init(_ code: Code, detail: String = "") {
        self.code = code
        self.detail = detail
    }

    package static func == (left: Self, right: Self) -> Bool { left.code == right.code }

    package var description: String {
        let text =
            switch code {
            case .notMember: "not a member of the realm"
            case .invalidName: "the name of the protocol is not valid"
            case .tooLarge(let limit): "the message exceeds the limit of \(limit) bytes"
            case .unknownProtocol: "the other node has no handler for this protocol"
            case .handlerFailed: "the other node's handler failed"
            case .replyTooLarge(let limit): "the reply exceeds the limit of \(limit) bytes"
            case .busy: "the other node takes no message now"
            case .offline(let end): end.map { "the connection is gone: \($0)" } ?? "the other node is not connected"
            case .timeout: "no reply in time"
            case .violation: "the other node does not follow the messaging protocol"
            case .cancelled: "the request was cancelled"
            }
        return detail.isEmpty ? text : "\(text): \(detail)"
    }
}
