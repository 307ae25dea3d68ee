/// The protocols that open a port on a gateway, best first.
public enum PortMappingProtocol: String, CaseIterable, Sendable {
    /// RFC 6887.
    case pcp
    /// RFC 6886.
    case natPMP = "nat_pmp"
    /// UPnP Internet Gateway Device, version 1 and 2.
    case upnp

    package var name: String {
        switch self {
        case .pcp: "PCP"
        case .natPMP: "NAT-PMP"
        case .upnp: "UPnP"
        }
    }
}
