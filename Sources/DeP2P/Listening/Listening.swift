internal import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReactor
internal import DeP2PSessions
internal import Glibc

/// Opens a node's sockets, and says where others reach them.
enum Listening {
    static let addressInUse = EADDRINUSE
    /// Free ports tried until one is free in both families.
    static let portAttempts = 16

    /// - Throws: `BindError`, or ``DeP2PError`` `addressInUse`.
    @NetworkActor
    static func open(_ addresses: [SocketAddress]) throws -> UDPDriver {
        if addresses.isEmpty { return try openAnywhere() }
        let sharesFreePort = addresses.count > 1 && addresses.allSatisfy { $0.port == 0 && $0.ip.isUnspecified }
        return try sharesFreePort ? openAnywhere() : open(addresses) { try UDPDriver(bind: $0) }
    }

    /// What `bind` refuses an address with when the kernel lacks its family, or all of its addresses.
    private static let missingFamily = [EAFNOSUPPORT, EADDRNOTAVAIL, EPROTONOSUPPORT]

    /// “Every local address” means those that there are: a family that this kernel lacks is left out, as long as another
    /// was asked for too.
    @NetworkActor
    private static func open<Sockets>(
        _ addresses: [SocketAddress], _ bind: ([SocketAddress]) throws -> Sockets
    ) throws -> Sockets {
        do {
            return try bind(addresses)
        } catch let error as BindError where error.address.ip.isUnspecified && missingFamily.contains(error.errno) {
            let rest = addresses.filter { $0.ip.family != error.address.ip.family }
            guard !rest.isEmpty else { throw error }
            return try bind(rest)
        }
    }

    /// One port for both families, as firewalls and people like it; one family alone where there is no other.
    @NetworkActor
    private static func openAnywhere() throws -> UDPDriver {
        for _ in 0..<portAttempts {
            let port = try freePort()
            do {
                return try open(NodeConfiguration.anyAddress(port: port)) { try UDPDriver(bind: $0) }
            } catch let error as BindError where error.errno == addressInUse {
                continue
            }
        }
        throw DeP2PError(.addressInUse, "no port is free in both address families")
    }

    /// A port that is free in one family, IPv4 where there is that.
    @NetworkActor
    private static func freePort() throws -> UInt16 {
        let any = [IPAddress.v4Any, .v6Any].map { SocketAddress($0, port: 0) }
        var lastError: any Error = DeP2PError(.cannotListen, "this machine has neither IPv4 nor IPv6")
        for address in any {
            do {
                let probe = try UDPDriver(bind: [address])
                defer { probe.close() }
                return probe.localAddresses[0].port
            } catch {
                lastError = error
            }
        }
        throw lastError
    }

    /// Binds the TCP sockets; `nil` for none.
    ///
    /// - Throws: `BindError`, or `QUICError` without TLS.
    @NetworkActor
    static func openTCP(_ addresses: [SocketAddress]) throws -> TCPListener? {
        guard !addresses.isEmpty else { return nil }
        return try open(addresses) { try TCPListener(bind: $0) }
    }

    /// The addresses at which others may reach sockets bound to `bound`, best first, without the NodeID.
    static func shareable(
        _ bound: [SocketAddress], of machine: () -> [InterfaceAddress], overTCP: Bool = false
    ) -> [Address] {
        let interfaces = bound.contains(where: \.ip.isUnspecified) ? machine().map(\.address.ip) : []
        return bound.flatMap { socket -> [(Int, Address)] in
            let hosts = socket.ip.isUnspecified ? interfaces.filter { $0.family == socket.ip.family } : [socket.ip]
            return hosts.map { host in
                (rank(host), overTCP ? .tcpTLS(host, port: socket.port) : .quic(host, port: socket.port))
            }
        }.sorted { $0.0 < $1.0 }.map(\.1)
    }

    /// Those of the machine's interfaces that are behind sockets bound to `bound`, with their ports, best first.
    static func interfaces(_ bound: [SocketAddress], of machine: [InterfaceAddress]) -> [InterfaceAddress] {
        bound.flatMap { socket -> [(Int, InterfaceAddress)] in
            let family = socket.ip.family
            let alone = InterfaceAddress(SocketAddress(socket.ip, port: 0), prefixLength: family == .v4 ? 32 : 128)
            let hosts =
                socket.ip.isUnspecified
                ? machine.filter { $0.address.ip.family == family }
                : [machine.first { $0.address.ip == socket.ip } ?? alone]
            return hosts.map { host in
                let address = SocketAddress(host.address.ip, port: socket.port)
                return (rank(address.ip), InterfaceAddress(address, prefixLength: host.prefixLength))
            }
        }.sorted { $0.0 < $1.0 }.map(\.1)
    }

    private static func rank(_ ip: IPAddress) -> Int { ip.isGlobal ? 0 : ip.isLoopback ? 2 : 1 }
}
