public import DeP2PIdentity
public import DeP2PReactor

/// What a network allows, as far as its observers could tell. Plain data: `nil` is "not determined", never a guess.
public struct NATReport: Equatable, Sendable {
    public package(set) var ipv4Family = NATFamilyReport()
    public package(set) var ipv6Family = NATFamilyReport()
    /// Port mapping protocols that the gateway answered (`true`) or not (`false`); absent ones were not asked.
    public package(set) var portMapping: [PortMappingProtocol: Bool] = [:]
    /// The gateway's own external address, as it says: another than the observed one lies behind another NAT.
    public package(set) var gatewayAddress: IPAddress?
    /// Whether anything could be reached over TCP: what tells "UDP is blocked" from "there is no network".
    public package(set) var tcp: Bool?
    /// Whether something in between answers in place of the servers, as a network does that wants a login first.
    public package(set) var captivePortal: Bool?

    package init() {}

    /// Whether UDP passes. False only when nothing at all came over UDP from two observers at different addresses while TCP
    /// worked: one may be down, or listen at another port.
    public var udp: Bool? {
        if observers + ipv4Family.unusable + ipv6Family.unusable > 0 { return true }
        let silent = max(ipv4Family.silentHosts, ipv6Family.silentHosts)
        return tcp == true && silent >= 2 ? false : nil
    }

    /// Whether datagrams of 1,200 bytes are lost, which every QUIC path must carry (RFC 9000 14), where small ones pass.
    public var isNarrow: Bool? { decisive.isNarrow }

    /// Whether most of what is sent at once over UDP is lost.
    public var isThrottled: Bool? { decisive.isThrottled }

    public var ipv4: Bool? { ipv4Family.works }
    public var ipv6: Bool? { ipv6Family.works }

    /// Observers that were asked and that answered, a node's two families counted apart.
    public var observersAsked: Int { ipv4Family.asked + ipv6Family.asked }
    public var observers: Int { ipv4Family.observations.count + ipv6Family.observations.count }

    /// The family whose translation decides what others must do: IPv4 where it works, because there the NATs are.
    public var decisive: NATFamilyReport { ipv4Family.works == true ? ipv4Family : ipv6Family }

    public var mapping: NATMapping? { decisive.mapping }
    public var filtering: NATFiltering? { decisive.filtering }
    public var natType: NATType? { decisive.natType }
    /// This node's addresses as the observers saw them, each once.
    public var observed: [SocketAddress] {
        var seen: Set<SocketAddress> = []
        return (ipv4Family.observations + ipv6Family.observations).map(\.mapped).filter { seen.insert($0).inserted }
    }
}

/// On what of the destination an external port depends (RFC 4787 section 4.1).
public enum NATMapping: String, Sendable {
    case endpointIndependent = "endpoint-independent"
    case addressDependent = "address-dependent"
    case addressAndPortDependent = "address-and-port-dependent"
    /// On the address, or on address and port: no observer had two ports to tell.
    case endpointDependent = "endpoint-dependent"
}

/// Whose packets come in through a mapping (RFC 4787 section 5).
public enum NATFiltering: String, Sendable {
    case endpointIndependent = "endpoint-independent"
    case addressDependent = "address-dependent"
    case addressAndPortDependent = "address-and-port-dependent"
    /// Not everybody's: no observer had two ports to tell the rest.
    case endpointDependent = "endpoint-dependent"
}

/// The names that RFC 3489 made familiar, and the two cases without translation.
public enum NATType: String, Sendable {
    case open = "none"
    case firewall = "firewall"
    case fullCone = "full cone"
    case addressRestricted = "address-restricted cone"
    case portRestricted = "port-restricted cone"
    case symmetric = "symmetric"
}

/// How external ports are chosen: whether the next one can be predicted.
public enum NATPortAllocation: Equatable, Sendable, CustomStringConvertible {
    /// The internal port is kept.
    case preserving
    /// Each new mapping's port is about that much above (below, when negative) the last one's.
    case sequential(step: Int)
    case random

    public var description: String {
        switch self {
        case .preserving: "preserving"
        case .sequential(let step): "sequential \(step > 0 ? "+" : "")\(step)"
        case .random: "random"
        }
    }
}
