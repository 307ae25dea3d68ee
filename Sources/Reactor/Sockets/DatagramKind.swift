/// What a datagram on a node's socket is, by its first byte: the one place that says so (RFC 9443, with bytes of our own).
package enum DatagramKind: Hashable, Sendable {
    /// `0x00`–`0x03` (RFC 8489 section 5).
    case stun
    /// `0x10`–`0x1f`: the low four bits are the relay frame's epoch.
    case relayFrame
    /// `0x20`: probes of hole punching.
    case pathProbe
    /// `01…` and `1…` (RFC 9000 section 17). Peers may grease the fixed bit (RFC 9287), so that a packet of a connection
    /// may look like any other kind: known connection IDs go before this table.
    case quic

    /// The first of the bytes that begin a relay frame, and the byte that begins a probe.
    package static let relayFrameByte: UInt8 = 0x10
    package static let pathProbeByte: UInt8 = 0x20

    /// `nil` for what nobody here speaks.
    package init?(firstByte: UInt8) {
        switch firstByte {
        case 0x00...0x03: self = .stun
        case Self.relayFrameByte...Self.relayFrameByte | 0x0f: self = .relayFrame
        case Self.pathProbeByte: self = .pathProbe
        case 0x40...0xff: self = .quic
        default: return nil
        }
    }
}
