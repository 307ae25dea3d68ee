/// Why a node closed a connection: the QUIC application error code that the other side sees.
///
/// The numbers are part of the protocol; the man page lists them.
package struct CloseCode: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    package let rawValue: UInt64

    package init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    /// The node is done with the connection; also what libp2p nodes send.
    package static let normal = CloseCode(rawValue: 0x00)
    /// The node is stopping: it goes offline in good order.
    package static let goodbye = CloseCode(rawValue: 0xd001)
    /// The node left the realm that the connection was admitted to.
    package static let leftRealm = CloseCode(rawValue: 0xd002)
    /// Another connection between the same two nodes took its place.
    package static let duplicate = CloseCode(rawValue: 0xd003)
    /// The node, or this peer on it, is at its limit of connections.
    package static let limit = CloseCode(rawValue: 0xd004)
    /// The node does not want to talk to this peer.
    package static let notAllowed = CloseCode(rawValue: 0xd006)
    /// The relay that carried the connection ended the circuit: the reason says why.
    package static let relayEnded = CloseCode(rawValue: 0xd007)

    package var description: String {
        switch self {
        case .normal: "closed"
        case .goodbye: "goodbye"
        case .leftRealm: "left realm"
        case .duplicate: "duplicate connection"
        case .limit: "connection limit"
        case .notAllowed: "not allowed"
        case .relayEnded: "relayed circuit ended"
        default: "code 0x\(String(rawValue, radix: 16))"
        }
    }
}

/// Why a node reset a stream or stopped reading it: the QUIC stream error code that the other side sees.
package struct StreamCode: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    package let rawValue: UInt64

    package init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    /// Nothing went wrong; the rest is not needed.
    package static let done = StreamCode(rawValue: 0x00)
    /// The application gave up.
    package static let cancelled = StreamCode(rawValue: 0xd101)
    /// The protocol is for members of the realm, and this connection is not admitted.
    package static let notMember = StreamCode(rawValue: 0xd102)
    /// More streams at once than the node serves.
    package static let busy = StreamCode(rawValue: 0xd103)
    /// A deadline passed.
    package static let timeout = StreamCode(rawValue: 0xd104)
    /// What arrived is not what the protocol says.
    package static let violation = StreamCode(rawValue: 0xd105)
    /// The handler failed.
    package static let failed = StreamCode(rawValue: 0xd106)

    package var description: String {
        switch self {
        case .done: "done"
        case .cancelled: "cancelled"
        case .notMember: "not a member"
        case .busy: "busy"
        case .timeout: "timeout"
        case .violation: "protocol violation"
        case .failed: "handler failed"
        default: "code 0x\(String(rawValue, radix: 16))"
        }
    }
}
