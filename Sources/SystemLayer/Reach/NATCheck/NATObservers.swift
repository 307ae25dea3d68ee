public import DeP2PIdentity
package import DeP2PReactor
internal import DeP2PSessions

/// Where addresses lead to: what a NAT check asks, over UDP and, when that is silent, over TCP.
package struct NATObservers: Equatable, Sendable {
    /// Most addresses looked at.
    package static let limit = 32

    /// STUN is spoken there.
    package internal(set) var udp: [SocketAddress] = []
    /// Addresses of relays' TCP legs.
    package internal(set) var tcp: [SocketAddress] = []
    /// Addresses that lead nowhere, each with the reason.
    package internal(set) var unusable: [UnusableServer] = []

    /// Looks up the hosts of `addresses`; of one through a relay, the relay's.
    ///
    /// - Throws: `CancellationError`.
    @NetworkActor
    package static func resolve(
        _ addresses: [Address], clock: any NetworkClock = SystemNetworkClock.shared, names: NameSource = .system
    ) async throws -> NATObservers {
        try await resolve(
            addresses, by: NameResolver(clock: clock, deadline: ConnectionLimits().resolveDeadline, source: names))
    }

    @NetworkActor
    static func resolve(_ addresses: [Address], by resolver: NameResolver) async throws -> NATObservers {
        var observers = NATObservers()
        for address in addresses.prefix(limit) {
            do {
                try observers.add(address, try await hosts(of: address, resolver))
            } catch let failure as TransportFailure {
                observers.unusable.append(UnusableServer(address: address, reason: failure.detail))
            }
        }
        return observers
    }

    @NetworkActor
    private static func hosts(of address: Address, _ resolver: NameResolver) async throws -> [IPAddress] {
        switch address.host {
        case .ip(let ip): return [ip]
        case .dns(let name, .dns): return try await resolver.addresses(of: name, family: nil)
        case .dns(let name, .dns4): return try await resolver.addresses(of: name, family: .v4)
        case .dns(let name, .dns6): return try await resolver.addresses(of: name, family: .v6)
        case .dns(_, .dnsaddr): throw TransportFailure(.unsupported, detail: "dnsaddr names are not looked up")
        case nil: throw TransportFailure(.unsupported, detail: "the address names no host")
        }
    }

    private mutating func add(_ address: Address, _ hosts: [IPAddress]) throws {
        for host in hosts where !host.isUnspecified && !host.isMulticast {
            switch address.transport {
            case .quic(let port)? where port != 0: Self.insert(SocketAddress(host, port: port), into: &udp)
            case .tcpTLS(let port)? where port != 0: Self.insert(SocketAddress(host, port: port), into: &tcp)
            default: throw TransportFailure(.unsupported, detail: "neither /udp/PORT/quic-v1 nor /tcp/PORT/tls")
            }
        }
    }

    private static func insert(_ address: SocketAddress, into list: inout [SocketAddress]) {
        if !list.contains(address) { list.append(address) }
    }
}

/// A server that could not be asked, and why not.
public struct UnusableServer: Equatable, Sendable {
    public let address: Address
    /// Lower case, without a full stop.
    public let reason: String
}
