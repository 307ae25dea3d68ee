package import DeP2PIdentity

/// Whom a limit per address counts against: the one notion for every such limit there is.
///
/// An IPv4 address; of IPv6 the /64, since a host commands all of one (RFC 7934 section 4); behind a relay, all that
/// comes through this node's one session with it, for the relay can make up as many sources as it likes. Datagrams in
/// TLS over TCP count for the TCP connection's other end.
///
/// Only an address that the peer has proven to receive at may be charged (`Connection.validatedPeer`): a source
/// address alone is what anyone writes on an envelope.
package enum Subject: Hashable, Sendable {
    /// An IPv4 address, or the first 64 bits of an IPv6 one.
    case network(IPAddress)
    /// Through the relay that this connection of the process leads to.
    case relay(UInt64)

    package init(_ ip: IPAddress) {
        let ip = ip.unmapped
        self = .network(ip.family == .v6 ? ip.prefix(64) : ip)
    }

    /// The network that one customer usually has to themselves: a /24, or a /48.
    package var subnet: Subject {
        guard case .network(let ip) = self else { return self }
        return .network(ip.prefix(ip.family == .v4 ? 24 : 48))
    }
}

extension Subject: CustomStringConvertible {
    package var description: String {
        switch self {
        case .network(let ip): ip.family == .v6 ? "\(ip)/64" : "\(ip)"
        case .relay: "a relay"
        }
    }
}
