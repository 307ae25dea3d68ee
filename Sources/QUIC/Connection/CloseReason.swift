/// Why a connection ended, as both sides can tell it.
package struct CloseReason: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Origin: Hashable, Sendable {
        /// This side closed it.
        case local
        /// The peer closed it.
        case peer
        /// Nothing was heard for the idle timeout.
        case idleTimeout
        /// The handshake did not finish in time.
        case handshakeTimeout
        /// The peer no longer knows the connection (stateless reset).
        case reset
        /// The peer broke the protocol, or this side did.
        case protocolViolation
    }

    package let origin: Origin
    /// The application's close code, or the transport's when ``isApplication`` is false.
    package let code: UInt64
    package let isApplication: Bool
    package let reason: String

    package init(_ origin: Origin, code: UInt64 = 0, isApplication: Bool = false, reason: String = "") {
        self.origin = origin
        self.code = code
        self.isApplication = isApplication
        self.reason = reason
    }

    package var description: String {
        let text =
            switch origin {
            case .local: "closed by this side"
            case .peer: "closed by the peer"
            case .idleTimeout: "the peer fell silent"
            case .handshakeTimeout: "the handshake timed out"
            case .reset: "the peer no longer knows the connection"
            case .protocolViolation: "the QUIC protocol was broken"
            }
        return reason.isEmpty ? text : "\(text): \(reason)"
    }
}

/// A connection that could not be made.
package struct QUICError: Error, Equatable, Sendable, CustomStringConvertible {
    package enum Code: Hashable, Sendable {
        /// The peer proved another identity than the one that was dialled.
        case wrongPeer
        /// The peer's certificate does not prove an identity.
        case badCertificate
        case timeout
        /// Nothing listens at that address.
        case refused
        /// No route to that address.
        case unreachable
        /// The peer closed the connection during the handshake.
        case closedByPeer
        /// The peer speaks another version of QUIC.
        case versionMismatch
        /// A limit of this endpoint.
        case limit
        case endpointClosed
        case cancelled
        case internalError
    }

    package let code: Code
    package let message: String
    package let closeReason: CloseReason?

    package init(_ code: Code, _ message: String, closeReason: CloseReason? = nil) {
        self.code = code
        self.message = message
        self.closeReason = closeReason
    }

    package static func == (left: Self, right: Self) -> Bool { left.code == right.code }

    package var description: String { message }
}
