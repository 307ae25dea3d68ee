package import DeP2PIdentity
package import DeP2PReactor

/// A NAT on a ``SimulatedNetwork``: hosts of one subnet behind one public address.
@NetworkActor
package final class SimulatedGateway {
    package typealias Rule = SimulatedNAT.Rule
    package typealias Ports = SimulatedNAT.Ports

    /// The first 24 bits of the hosts' addresses.
    package let inside: IPAddress
    /// Drops what its own drop.
    package var isDead = false
    /// Ports that somebody has had forwarded, by hand.
    package var forwards: [UInt16: SocketAddress] = [:]
    /// By which of them somebody outside has come in: answers leave by it too.
    private var admitted: [SocketAddress: UInt16] = [:]
    private var nat: SimulatedNAT

    package init(
        external: IPAddress, inside: IPAddress, mapping: Rule, filtering: Rule, ports: Ports = .preserving,
        seed: UInt64 = 1
    ) {
        self.inside = inside.prefix(24)
        nat = SimulatedNAT(external: external, mapping: mapping, filtering: filtering, ports: ports, seed: seed)
    }

    package var external: IPAddress { nat.external }

    /// Whether hosts inside reach each other by their external addresses.
    package var hairpins: Bool {
        get { nat.hairpins }
        set { nat.hairpins = newValue }
    }

    /// Forgets every mapping, as a router that was switched off and on.
    package func reboot() { nat.reboot() }

    func isInside(_ ip: IPAddress) -> Bool { ip.family == inside.family && ip.prefix(24) == inside }

    /// The external source of a datagram from inside; `nil` when it is dropped.
    func outbound(_ source: SocketAddress, to destination: SocketAddress) -> SocketAddress? {
        guard !isDead else { return nil }
        if let port = admitted[destination], forwards[port] == source { return SocketAddress(external, port: port) }
        return nat.outbound(source, to: destination)
    }

    /// Who inside gets a datagram that came to the external address; `nil` when it is dropped.
    func inbound(_ destination: SocketAddress, from source: SocketAddress) -> SocketAddress? {
        guard !isDead else { return nil }
        guard let host = forwards[destination.port] else { return nat.inbound(destination.port, from: source) }
        admitted[source] = destination.port
        return host
    }
}
