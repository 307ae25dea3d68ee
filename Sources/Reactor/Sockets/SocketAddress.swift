public import DeP2PIdentity

/// An IP address and a UDP or TCP port, as sockets use them.
public struct SocketAddress: Hashable, Sendable, CustomStringConvertible {
    public let ip: IPAddress
    public let port: UInt16
    /// The IPv6 zone as an interface index; 0 when there is none.
    package let scope: UInt32

    package init(_ ip: IPAddress, port: UInt16, scope: UInt32 = 0) {
        self.ip = ip
        self.port = port
        self.scope = scope
    }

    public var description: String {
        let text = ip.description
        return ip.family == .v4 ? "\(text):\(port)" : "[\(text)\(scope == 0 ? "" : "%\(scope)")]:\(port)"
    }
}
