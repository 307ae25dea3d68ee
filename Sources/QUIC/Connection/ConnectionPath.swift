public import Identity

/// How a connection's datagrams travel now.
public struct ConnectionPath: Equatable, Sendable, CustomStringConvertible {
    public enum Kind: Hashable, Sendable {
        /// Straight to an address that was known before.
        case direct
        /// Straight, through NATs opened by hole punching.
        case punched
        /// Through that relay.
        case relay(NodeID)
    }

    public let kind: Kind
    public let local: SocketAddress?
    public let remote: SocketAddress?

    public init(kind: Kind, local: SocketAddress?, remote: SocketAddress?) {
        self.kind = kind
        self.local = local
        self.remote = remote
    }

    /// `direct`, `punched` or `relay(ID)`, as the command line prints it.
    public var description: String {
        switch kind {
        case .direct: "direct"
        case .punched: "punched"
        case .relay(let id): "relay(\(id))"
        }
    }
}
