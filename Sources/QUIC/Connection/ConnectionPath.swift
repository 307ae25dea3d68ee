public import DeP2PIdentity
package import DeP2PReactor

/// How a connection's datagrams travel now.
public struct ConnectionPath: Equatable, Sendable, CustomStringConvertible {
    public enum Kind: Hashable, Sendable, CustomStringConvertible {
        /// Straight to an address that was known before.
        case direct
        /// Straight, through NATs opened by hole punching.
        case punched
        /// Through that relay.
        case relay(NodeID)

        /// `direct`, `punched` or `relay(ID)`, as the command line prints it.
        public var description: String {
            switch self {
            case .direct: "direct"
            case .punched: "punched"
            case .relay(let id): "relay(\(id))"
            }
        }
    }

    public let kind: Kind
    package let local: SocketAddress?
    package let remote: SocketAddress?
    /// The peer's end of the TCP connection that a relay's leg runs over; ``local`` and ``remote`` are fake then.
    package let tcpPeer: SocketAddress?

    package init(kind: Kind, local: SocketAddress?, remote: SocketAddress?, tcpPeer: SocketAddress? = nil) {
        self.kind = kind
        self.local = local
        self.remote = remote
        self.tcpPeer = tcpPeer
    }

    /// Whether datagrams travel through a relay, and not straight to the other node.
    public var isRelayed: Bool { if case .relay = kind { true } else { false } }

    /// `direct`, `punched` or `relay(ID)`, as the command line prints it.
    public var description: String { kind.description }
}
