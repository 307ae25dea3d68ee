package import DeP2PIdentity
package import DeP2PReactor

/// What a NAT does with addresses (RFC 4787), and nothing else: pure, without a network and a clock.
package struct SimulatedNAT: Sendable {
    /// On what of the other end something depends.
    package enum Rule: Sendable { case nothing, address, addressAndPort }
    /// Which external port a new mapping gets.
    package enum Ports: Sendable { case preserving, sequential(step: Int), random }

    package let external: IPAddress
    /// RFC 4787 section 4.1 and section 5.
    package let mapping: Rule
    package let filtering: Rule
    package var ports: Ports
    /// Whether hosts inside reach each other by their external addresses (RFC 4787 section 6).
    package var hairpins: Bool

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
        external: IPAddress, mapping: Rule, filtering: Rule, ports: Ports = .preserving, hairpins: Bool = true,
        seed: UInt64 = 1
    ) {
        (self.external, self.mapping, self.filtering) = (external, mapping, filtering)
        (self.ports, self.hairpins) = (ports, hairpins)
        random = SplitMix64(seed: seed)
        lastPort = 20_000 + Int(random.next() % 20_000)
    }

    /// Forgets every mapping, as a router that was switched off and on.
    package mutating func reboot() {
        (mappings, owners, admitted) = ([:], [:], [:])
        lastPort = 20_000 + Int(random.next() % 20_000)
    }

    /// The external source of a datagram from inside.
    package mutating func outbound(_ source: SocketAddress, to destination: SocketAddress) -> SocketAddress {
        let key = Key(
            inside: source, remote: mapping == .nothing ? nil : destination.ip,
            port: mapping == .addressAndPort ? destination.port : 0)
        let port = mappings[key] ?? allocate(for: source)
        mappings[key] = port
        owners[port] = source
        admitted[port, default: []].insert(destination)
        return SocketAddress(external, port: port)
    }

    /// Who inside gets a datagram that came to an external port; `nil` when it is dropped.
    package func inbound(_ port: UInt16, from source: SocketAddress) -> SocketAddress? {
        guard source.ip != external || hairpins, let owner = owners[port] else { return nil }
        let open = admitted[port] ?? []
        let passes =
            switch filtering {
            case .nothing: true
            case .address: open.contains { $0.ip == source.ip }
            case .addressAndPort: open.contains(source)
            }
        return passes ? owner : nil
    }

    private mutating func allocate(for source: SocketAddress) -> UInt16 {
        switch ports {
        case .preserving where (owners[source.port] ?? source) == source: return source.port
        case .sequential(let step):
            repeat { lastPort = 1_024 + (lastPort - 1_024 + step) % 64_000 } while owners[UInt16(lastPort)] != nil
            return UInt16(lastPort)
        case .preserving, .random:
            while true {
                let port = UInt16(1_024 + random.next() % 64_512)
                if owners[port] == nil { return port }
            }
        }
    }
}
