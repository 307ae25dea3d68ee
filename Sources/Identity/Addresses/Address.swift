/// A multiaddr (multiformats/multiaddr): how to reach a node, as a sequence of components from the outside in.
///
/// Any sequence of known components is an address; what one is good for is said by the views: ``host``,
/// ``transport``, ``nodeID`` and ``relay``. Text and bytes are canonical, so equal addresses have equal bytes.
public struct Address: Hashable, Sendable {
    /// The most components in one address: a relayed one behind a zone and a name has 9.
    package static let maximumComponents = 16
    /// The longest binary form, in bytes.
    package static let maximumLength = 512
    /// The longest text looked at, in bytes.
    package static let maximumTextLength = 1024

    package enum Component: Hashable, Sendable {
        case ip(IPAddress)
        case ip6zone(String)
        case dns(String, Host.DNSKind)
        case tcp(UInt16)
        case udp(UInt16)
        case quicV1
        case tls
        case p2p(NodeID)
        case p2pCircuit
    }

    /// The transports that dep2p speaks.
    package enum Transport: Hashable, Sendable {
        /// `/udp/PORT/quic-v1`
        case quic(port: UInt16)
        /// `/tcp/PORT/tls`: a relay's leg for networks that block UDP.
        case tcpTLS(port: UInt16)
    }

    package let components: [Component]

    /// - Throws: `limitExceeded` for more than 16 components or 512 bytes, `malformedAddress` for none or for a component whose
    ///   name or zone is not one.
    package init(components: [Component]) throws(IdentityError) {
        guard !components.isEmpty else { throw IdentityError(.malformedAddress, "an address is empty") }
        guard components.count <= Self.maximumComponents else {
            throw IdentityError(
                .limitExceeded, "an address of \(components.count) parts is over the limit of \(Self.maximumComponents)"
            )
        }
        for component in components {
            switch component {
            case .dns(let name, _) where !Host.isName(name):
                throw IdentityError(.malformedAddress, "“\(name.prefix(80))” is not a host name")
            case .ip6zone(let zone) where !Host.isZone(zone):
                throw IdentityError(.malformedAddress, "“\(zone.prefix(80))” is not an IPv6 zone")
            default: continue
            }
        }
        self.components = components
        guard bytes.count <= Self.maximumLength else {
            throw IdentityError(.limitExceeded, "an address is over the limit of \(Self.maximumLength) bytes")
        }
    }

    /// For sequences built here, which are good by construction.
    private init(trusted components: [Component]) {
        self.components = components
    }

    /// `/ip4|ip6/IP/udp/PORT/quic-v1[/p2p/ID]`
    package static func quic(_ ip: IPAddress, port: UInt16, nodeID: NodeID? = nil) -> Address {
        Address(trusted: [.ip(ip), .udp(port), .quicV1] + (nodeID.map { [.p2p($0)] } ?? []))
    }

    /// `/ip4|ip6/IP/tcp/PORT/tls[/p2p/ID]`
    package static func tcpTLS(_ ip: IPAddress, port: UInt16, nodeID: NodeID? = nil) -> Address {
        Address(trusted: [.ip(ip), .tcp(port), .tls] + (nodeID.map { [.p2p($0)] } ?? []))
    }

    /// What `HOST:PORT` means: QUIC there. Nil for `:PORT`, which names no host.
    package init?(quic hostPort: HostPort) {
        switch hostPort.host {
        case nil: return nil
        case .ip(let ip):
            let zone: [Component] = hostPort.zone.map { [.ip6zone($0)] } ?? []
            components = zone + [.ip(ip), .udp(hostPort.port), .quicV1]
        case .dns(let name, let kind): components = [.dns(name, kind), .udp(hostPort.port), .quicV1]
        }
    }

    /// The first host: where a packet goes.
    package var host: Host? {
        switch components.first(where: { if case .ip6zone = $0 { false } else { true } }) {
        case .ip(let address): .ip(address)
        case .dns(let name, let kind): .dns(name, kind)
        default: nil
        }
    }

    /// The IPv6 zone before the host.
    package var zone: String? {
        if case .ip6zone(let zone) = components[0] { zone } else { nil }
    }

    /// The transport right behind the host, when it is one of ours and nothing but `p2p` parts follow.
    package var transport: Transport? {
        guard host != nil else { return nil }
        let rest = components.dropFirst(zone == nil ? 1 : 2)
        let isNaming = rest.dropFirst(2).allSatisfy { component in
            switch component {
            case .p2p, .p2pCircuit: true
            default: false
            }
        }
        guard isNaming else { return nil }
        switch (rest.first, rest.dropFirst().first) {
        case (.udp(let port), .quicV1): return .quic(port: port)
        case (.tcp(let port), .tls): return .tcpTLS(port: port)
        default: return nil
        }
    }

    /// The node at the end, when the address names one: the last component is `p2p`.
    public var nodeID: NodeID? {
        if case .p2p(let id) = components.last { id } else { nil }
    }

    /// For an address through a relay: the relay's own address and its NodeID, from before the last `p2p-circuit`.
    package var relay: (address: Address, nodeID: NodeID)? {
        guard let circuit = components.lastIndex(of: .p2pCircuit), circuit > 0,
            case .p2p(let id) = components[circuit - 1]
        else { return nil }
        return (Address(trusted: [Component](components[..<circuit])), id)
    }

    /// Whether the way leads through a relay, named or not.
    public var isRelayed: Bool { components.contains(.p2pCircuit) }

    /// The way through a relay, whose address this is, to a node behind it.
    package func circuit(to nodeID: NodeID?) -> Address {
        Address(trusted: components + [.p2pCircuit] + (nodeID.map { [.p2p($0)] } ?? []))
    }

    /// The same way, to this node: `p2p` is put at the end or exchanged there.
    public func with(nodeID: NodeID) -> Address {
        Address(trusted: (self.nodeID == nil ? components : components.dropLast()) + [.p2p(nodeID)])
    }

    /// The same way without the node at its end; nil when nothing else is left.
    package var withoutNodeID: Address? {
        guard nodeID != nil else { return self }
        return components.count > 1 ? Address(trusted: components.dropLast()) : nil
    }
}
