import DeP2P

/// Whom a command is to reach: a NodeID whose address is known otherwise, an address that names the node, or an address
/// alone, where whoever answers will do.
enum Target: Hashable, Sendable {
    case nodeID(NodeID)
    case address(Address)

    init(_ argument: Argument) throws(CLIError) {
        let bytes = argument.bytes
        if bytes.first == UInt8(ascii: "/") || bytes.contains(UInt8(ascii: ":")) {
            self = .address(try ArgumentValue.address(argument))
        } else {
            self = .nodeID(try Self.nodeID(argument))
        }
    }

    /// A word that does not even look like a NodeID may have been meant as a host.
    private static func nodeID(_ argument: Argument) throws(CLIError) -> NodeID {
        do {
            return try ArgumentValue.nodeID(argument)
        } catch {
            let looksLikeOne = argument.text.map { $0.hasPrefix("12D3") || $0.hasPrefix("Qm") } ?? false
            if looksLikeOne { throw error }
            throw CLIError(
                error.code, "neither a NodeID nor an address: \(argument.quoted)",
                hint: "write a NodeID, HOST:PORT, or an address as in /ip4/192.0.2.7/udp/4001/quic-v1")
        }
    }

    /// The node to be reached, when the target names one.
    var nodeID: NodeID? {
        switch self {
        case .nodeID(let id): id
        case .address(let address): address.nodeID
        }
    }
}

/// Where to listen: a multiaddr or `HOST:PORT`, where `:PORT` is every local address of both families.
enum ListenAddress: Hashable, Sendable {
    case address(Address)
    case anyHost(port: UInt16)

    init(_ argument: Argument) throws(CLIError) {
        let text = try ArgumentValue.text(argument)
        // What is no port is looked at as an address, which has an error of its own.
        if text.utf8.first == UInt8(ascii: ":"), let hostPort = try? HostPort(text), hostPort.host == nil {
            self = .anyHost(port: hostPort.port)
        } else {
            self = .address(try ArgumentValue.address(argument))
        }
    }

    /// Where to listen over TCP: `HOST:PORT` means TLS there.
    init(tcp argument: Argument) throws(CLIError) {
        let listen = try ListenAddress(argument)
        guard case .address(let address) = listen, case .quic(let port)? = address.transport,
            argument.bytes.first != UInt8(ascii: "/"), case .ip(let ip)? = address.host
        else {
            self = listen
            return
        }
        self = .address(.tcpTLS(ip, port: port))
    }
}
