internal import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReactor

/// How a connection ended.
public struct SessionEnd: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Cause: Hashable, Sendable {
        /// The peer closed with a code of its own.
        case closedByPeer(CloseCode)
        /// This side closed.
        case closedLocally(CloseCode)
        /// Nothing arrived for the idle timeout.
        case timeout
        /// The transport failed: a protocol error, a stateless reset, the endpoint closing.
        case transport
    }

    package let cause: Cause
    /// What the closing side said, or the transport's own words. Remote text: escape it before it meets a terminal.
    public let reason: String

    package init(_ cause: Cause, reason: String = "") {
        self.cause = cause
        self.reason = reason
    }

    public var description: String {
        let text =
            switch cause {
            case .closedByPeer(let code): "closed by the peer (\(code))"
            case .closedLocally(let code): "closed on this side (\(code))"
            case .timeout: "timed out"
            case .transport: "lost"
            }
        return reason.isEmpty ? text : "\(text): \(reason)"
    }
}
