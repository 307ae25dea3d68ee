internal import Glibc
internal import Identity
internal import QUIC
internal import SystemLayer

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
        return try sharesFreePort ? openAnywhere() : UDPDriver(bind: addresses)
    }

    /// One port for both families, as firewalls and people like it; IPv4 alone where there is no IPv6.
    @NetworkActor
    private static func openAnywhere() throws -> UDPDriver {
        for _ in 0..<portAttempts {
            let probe = try UDPDriver(bind: [SocketAddress(.v4Any, port: 0)])
            let port = probe.localAddresses[0].port
            probe.close()
            do throws(BindError) {
                return try UDPDriver(bind: NodeConfiguration.anyAddress(port: port))
            } catch {
                if error.address.ip.family == .v6, error.errno != EADDRINUSE {
                    return try UDPDriver(bind: [SocketAddress(.v4Any, port: port)])
                }
            }
        }
        throw DeP2PError(.addressInUse, "no port is free in both address families")
    }

    /// Binds the TCP sockets; `nil` for none.
    ///
    /// - Throws: `BindError`, or `QUICError` without TLS.
    @NetworkActor
    static func openTCP(_ addresses: [SocketAddress]) throws -> TCPListener? {
        guard !addresses.isEmpty else { return nil }
        let isAnywhere = addresses.contains { $0.ip == .v4Any }
        do {
            return try TCPListener(bind: addresses)
        } catch let error as BindError where isAnywhere && error.address.ip == .v6Any && error.errno != EADDRINUSE {
            // IPv4 alone where there is no IPv6.
            return try TCPListener(bind: addresses.filter { $0.ip.family == .v4 })
        }
    }

    /// The addresses at which others may reach sockets bound to `bound`, best first, without the NodeID.
    static func shareable(_ bound: [SocketAddress], overTCP: Bool = false) -> [Address] {
        let interfaces = bound.contains(where: \.ip.isUnspecified) ? InterfaceAddresses.all() : []
        return bound.flatMap { socket -> [(Int, Address)] in
            let hosts = socket.ip.isUnspecified ? interfaces.filter { $0.family == socket.ip.family } : [socket.ip]
            return hosts.map { host in
                (rank(host), overTCP ? .tcpTLS(host, port: socket.port) : .quic(host, port: socket.port))
            }
        }.sorted { $0.0 < $1.0 }.map(\.1)
    }

    /// The interfaces behind sockets bound to `bound`, with their ports, best first.
    static func interfaces(_ bound: [SocketAddress]) -> [InterfaceAddress] {
        let known = InterfaceAddresses.withPrefixes()
        return bound.flatMap { socket -> [(Int, InterfaceAddress)] in
            let hosts =
                socket.ip.isUnspecified
                ? known.filter { $0.ip.family == socket.ip.family }
                : [known.first { $0.ip == socket.ip } ?? (socket.ip, socket.ip.family == .v4 ? 32 : 128)]
            return hosts.map { host in
                (
                    rank(host.ip),
                    InterfaceAddress(SocketAddress(host.ip, port: socket.port), prefixLength: host.prefixLength)
                )
            }
        }.sorted { $0.0 < $1.0 }.map(\.1)
    }

    private static func rank(_ ip: IPAddress) -> Int { ip.isGlobal ? 0 : ip.isLoopback ? 2 : 1 }
}
