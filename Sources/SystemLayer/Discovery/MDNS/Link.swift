package import DeP2PIdentity
package import DeP2PReactor

/// A network that is spoken on: an interface, in one family.
package struct Link: Hashable, Sendable {
    package struct ID: Hashable, Sendable {
        package let interface: UInt32
        package let family: IPAddress.Family

        package init(interface: UInt32, family: IPAddress.Family) {
            (self.interface, self.family) = (interface, family)
        }
    }

    package let id: ID
    package let interface: NetworkLink

    package init(_ interface: NetworkLink, _ family: IPAddress.Family) {
        (self.id, self.interface) = (ID(interface: interface.index, family: family), interface)
    }

    /// Whether `ip` is of this network: what is told there by others, and of others, is not listened to (RFC 6762
    /// section 11). Over loopback nobody speaks but this machine.
    package func hasHost(_ ip: IPAddress) -> Bool {
        guard !ip.isUnspecified, !ip.isMulticast, !ip.isV4Mapped else { return false }
        if interface.isLoopback { return ip.isLoopback }
        guard !ip.isLoopback else { return false }
        return interface.addresses.contains { $0.isNear(ip) && $0.broadcast != ip }
    }

    /// An address that was heard here as it is dialled from here; `nil` when it is another network's, or none to dial.
    package func dialable(_ address: Address) -> Address? {
        guard case .ip(let ip)? = address.host, case .quic(let port)? = address.transport, !address.isRelayed,
            port != 0, hasHost(ip)
        else { return nil }
        guard ip.family == .v6, ip.isLinkLocal else { return .quic(ip, port: port) }
        return zoned(ip, port, interface.name) ?? zoned(ip, port, "\(interface.index)")
    }

    private func zoned(_ ip: IPAddress, _ port: UInt16, _ zone: String) -> Address? {
        // An interface may have a name that no address can have.
        try? Address(components: [.ip6zone(zone), .ip(ip), .udp(port), .quicV1])
    }
}
