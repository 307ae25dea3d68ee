package import DeP2PIdentity
package import DeP2PReactor

/// A NAT on a ``SimulatedNetwork``: hosts of one subnet behind one public address (RFC 4787's behaviours).
@NetworkActor
package final class SimulatedGateway {
    /// On what of the other end something depends.
    package enum Rule: Sendable { case nothing, address, addressAndPort }
    /// Which external port a new mapping gets.
    package enum Ports: Sendable { case preserving, sequential(step: Int), random }

    package let external: IPAddress
    /// The first 24 bits of the hosts' addresses.
    package let inside: IPAddress
    /// RFC 4787 section 4.1 and section 5.
    package let mapping: Rule
    package let filtering: Rule
    package let ports: Ports
    /// Whether hosts inside reach each other by their external addresses (RFC 4787 section 6).
    package var hairpins = true
    /// Drops what its own drop.
    package var isDead = false

    private struct Key: Hashable {
        let inside: SocketAddress
        let remote: IPAddress?
        let port: UInt16
    }

    private var mappings: [Key: UInt16] = [:]
    private var owners: [UInt16: SocketAddress] = [:]
    private var admitted: [UInt16: Set<SocketAddress>] = [:]
    private var random: SplitMix64
    private var lastPort: Int

    package init(
        external: IPAddress, inside: IPAddress, mapping: Rule, filtering: Rule, ports: Ports = .preserving,
        seed: UInt64 = 1
    ) {
        (self.external, self.inside) = (external, inside.prefix(24))
        (self.mapping, self.filtering, self.ports) = (mapping, filtering, ports)
        random = SplitMix64(state: seed)
        lastPort = 20_000 + Int(random.next() % 20_000)
    }

    /// Forgets every mapping, as a router that was switched off and on.
    package func reboot() {
        (mappings, owners, admitted) = ([:], [:], [:])
        lastPort = 20_000 + Int(random.next() % 20_000)
    }

    func isInside(_ ip: IPAddress) -> Bool { ip.family == inside.family && ip.prefix(24) == inside }

    /// The external source of a datagram from inside.
    func outbound(_ source: SocketAddress, to destination: SocketAddress) -> SocketAddress? {
        guard !isDead else { return nil }
        let key = Key(
            inside: source, remote: mapping == .nothing ? nil : destination.ip,
            port: mapping == .addressAndPort ? destination.port : 0)
        let port = mappings[key] ?? allocate(for: source)
        mappings[key] = port
        owners[port] = source
        admitted[port, default: []].insert(destination)
        return SocketAddress(external, port: port)
    }

    /// Who inside gets a datagram that came to the external address; `nil` when it is dropped.
    func inbound(_ destination: SocketAddress, from source: SocketAddress) -> SocketAddress? {
        guard !isDead, source.ip != external || hairpins, let owner = owners[destination.port] else { return nil }
        let open = admitted[destination.port] ?? []
        let passes =
            switch filtering {
            case .nothing: true
            case .address: open.contains { $0.ip == source.ip }
            case .addressAndPort: open.contains(source)
            }
        return passes ? owner : nil
    }

    private func allocate(for source: SocketAddress) -> UInt16 {
        switch ports {
        case .preserving where owners[source.port] == nil: return source.port
        case .sequential(let step):
            repeat { lastPort = 1_024 + (lastPort - 1_024 + step) % 64_000 } while owners[UInt16(lastPort)] != nil
            return UInt16(lastPort)
        case .preserving, .random:
            while true {
                let port = UInt16(1_024 + random.next() % 64_000)
                if owners[port] == nil { return port }
            }
        }
    }
}
