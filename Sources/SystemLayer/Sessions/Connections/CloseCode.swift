/// Why a node closed a connection: the QUIC application error code that the other side sees.
///
/// The numbers are part of the protocol; the man page lists them.
package struct CloseCode: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    package let rawValue: UInt64

    package init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    private init(_ known: Known) { rawValue = known.rawValue }

    /// The code as a case, for whoever must have an answer to each; `nil` for one that this version does not know.
    package var known: Known? { Known(rawValue: rawValue) }

    package enum Known: UInt64, CaseIterable, Sendable {
        case normal = 0x00
        case goodbye = 0xd001
        case leftRealm = 0xd002
        case duplicate = 0xd003
        case limit = 0xd004
        case notAllowed = 0xd006
        case relayEnded = 0xd007
    }

    /// The node is done with the connection; also what libp2p nodes send.
    package static let normal = CloseCode(.normal)
    /// The node is stopping: it goes offline in good order.
    package static let goodbye = CloseCode(.goodbye)
    /// The node left the realm that the connection was admitted to.
    package static let leftRealm = CloseCode(.leftRealm)
    /// Another connection between the same two nodes took its place.
    package static let duplicate = CloseCode(.duplicate)
    /// The node, or this peer on it, is at its limit of connections.
    package static let limit = CloseCode(.limit)
    /// The node does not want to talk to this peer.
    package static let notAllowed = CloseCode(.notAllowed)
    /// The relay that carried the connection ended the circuit: the reason says why.
    package static let relayEnded = CloseCode(.relayEnded)

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
