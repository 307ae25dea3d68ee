internal import DeP2PIdentity
internal import DeP2PReactor
internal import DeP2PSessions

/// What is to be done with an address that is to be dialled: pure.
enum DialPlan: Equatable {
    struct Name: Equatable {
        let text: String
        let family: IPAddress.Family?
        let port: UInt16
        let isTCP: Bool
    }

    case dial(DialMachine.Candidate)
    case resolve(Name)
    /// To be looked up, and what is found there to be dialled instead.
    case expand(DNSAddress)
    /// Through the relay at this address.
    case through(Address)

    /// - Parameters:
    ///   - nodeID: who is dialled, where that is known.
    ///   - usesRelays: whether there is a way to go through relays.
    ///   - zone: the interface that a zone names.
    init(
        _ address: Address, to nodeID: NodeID?, usesRelays: Bool, zone: (String) -> UInt32?
    ) throws(TransportFailure) {
        if address.isRelayed {
            guard let relay = address.relay, nodeID != nil, !relay.address.isRelayed else {
                throw TransportFailure(.unsupported, detail: "the address names no relay, or not the node behind it")
            }
            guard usesRelays else { throw TransportFailure(.unsupported, detail: "relays are left out") }
            self = .through(relay.address)
            return
        }
        if let name = DNSAddress(address) {
            self = .expand(name)
            return
        }
        let (port, isTCP): (UInt16, Bool)
        switch address.transport {
        case .quic(let number): (port, isTCP) = (number, false)
        case .tcpTLS(let number): (port, isTCP) = (number, true)
        case nil: (port, isTCP) = (0, false)
        }
        guard port != 0 else {
            throw TransportFailure(.unsupported, detail: "only /udp/PORT/quic-v1 and /tcp/PORT/tls can be dialled")
        }
        switch address.host {
        case .ip(let ip):
            if !AddressRule.isHost(ip) {
                throw TransportFailure(.unsupported, detail: "\(ip) is not the address of a host")
            }
            let socket = SocketAddress(ip, port: port, scope: try Self.scope(of: address, ip, zone))
            self = .dial(DialMachine.Candidate(isTCP ? .tcp(socket) : .direct(socket), .address(address)))
        case .dns(let name, let kind):
            let family: IPAddress.Family? = kind == .dns4 ? .v4 : kind == .dns6 ? .v6 : nil
            self = .resolve(Name(text: name, family: family, port: port, isTCP: isTCP))
        case nil: throw TransportFailure(.unsupported, detail: "the address names no host")
        }
    }

    /// The interface that the address names (RFC 4007 section 11); 0 for none.
    private static func scope(
        of address: Address, _ ip: IPAddress, _ interface: (String) -> UInt32?
    ) throws(TransportFailure) -> UInt32 {
        guard let zone = address.zone else {
            guard ip.family == .v6, ip.isLinkLocal else { return 0 }
            throw TransportFailure(
                .unreachable, detail: "a link-local address needs its interface: [\(ip)%INTERFACE]:PORT")
        }
        guard let index = interface(zone) else {
            throw TransportFailure(.unreachable, detail: "this machine has no interface \(zone)")
        }
        return index
    }
}
