extension Address: CustomStringConvertible {
    /// Reads `/ip4/192.0.2.1/udp/4001/quic-v1/p2p/12D3KooW…` and its like. `/ipfs/` is the old name of `/p2p/`.
    ///
    /// - Throws: `malformedAddress` with the part that is wrong, `limitExceeded`, `malformedNodeID`.
    public init(_ text: String) throws(IdentityError) {
        guard text.utf8.count <= Self.maximumTextLength else {
            throw IdentityError(
                .limitExceeded,
                "an address of \(text.utf8.count) characters is over the limit of \(Self.maximumTextLength)")
        }
        guard text.utf8.first == UInt8(ascii: "/") else {
            throw IdentityError(
                .malformedAddress, "“\(text.prefix(80))” is not an address: it must begin with /",
                remedy: .advice("write it like /ip4/192.0.2.1/udp/4001/quic-v1/p2p/12D3KooW…"))
        }
        var parts = text.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)[...].dropFirst()
            .map { String(Substring($0)) }[...]
        // One closing slash does no harm and is common.
        if parts.count > 1, parts.last == "" { parts.removeLast() }
        var components: [Component] = []
        while let name = parts.popFirst() {
            components.append(try Self.component(name, &parts))
        }
        try self.init(components: components)
    }

    public var description: String {
        components.map(Self.text).joined()
    }

    private static func component(_ name: String, _ rest: inout ArraySlice<String>) throws(IdentityError) -> Component {
        switch name {
        case "quic-v1": return .quicV1
        case "tls": return .tls
        case "p2p-circuit": return .p2pCircuit
        default: break
        }
        guard valueNames.contains(name) else {
            throw IdentityError(.malformedAddress, "“\(name.prefix(40))” is not a part of an address that dep2p knows")
        }
        guard let value = rest.popFirst(), !value.isEmpty else {
            throw IdentityError(.malformedAddress, "/\(name) lacks its value")
        }
        if name == "p2p" || name == "ipfs" { return .p2p(try NodeID(value)) }
        guard let component = component(name, value: value) else {
            throw IdentityError(.malformedAddress, "/\(name) can't have the value “\(value.prefix(80))”")
        }
        return component
    }

    private static let valueNames: Set = [
        "ip4", "ip6", "ip6zone", "dns", "dns4", "dns6", "dnsaddr", "tcp", "udp", "p2p", "ipfs",
    ]

    private static func component(_ name: String, value: String) -> Component? {
        switch name {
        case "ip4": IPAddress(value).flatMap { $0.family == .v4 ? .ip($0) : nil }
        case "ip6": IPAddress(value).flatMap { $0.family == .v6 ? .ip($0) : nil }
        case "ip6zone": Host.isZone(value) ? .ip6zone(value) : nil
        case "tcp": port(value).map(Component.tcp)
        case "udp": port(value).map(Component.udp)
        default: Host.DNSKind(rawValue: name).flatMap { Host.isName(value) ? .dns(value, $0) : nil }
        }
    }

    private static func port(_ text: String) -> UInt16? {
        IPAddress.decimal([UInt8](text.utf8)[...], limit: 65535).map { UInt16($0) }
    }

    private static func text(_ component: Component) -> String {
        switch component {
        case .ip(let address): "/ip\(address.family.rawValue)/\(address)"
        case .ip6zone(let zone): "/ip6zone/\(zone)"
        case .dns(let name, let kind): "/\(kind.rawValue)/\(name)"
        case .tcp(let port): "/tcp/\(port)"
        case .udp(let port): "/udp/\(port)"
        case .quicV1: "/quic-v1"
        case .tls: "/tls"
        case .p2p(let id): "/p2p/\(id)"
        case .p2pCircuit: "/p2p-circuit"
        }
    }
}
