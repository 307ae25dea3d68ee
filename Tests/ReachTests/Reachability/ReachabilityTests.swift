import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PReach
@testable import DeP2PSessions

/// Dialling back between whole endpoints, on a simulated network whose filter plays the asker's NAT.
@Suite @NetworkActor struct ReachabilityTests {
    static let asker = v4(45, 20, 0, 1, 4001)
    static let server = v4(45, 10, 0, 1, 4001)
    static let second: UInt16 = 50_555

    @NetworkActor
    private final class Peer {
        let endpoint: Endpoint
        let connections: Connections
        let alternate: AlternatePort
        let stun: STUNService
        let service: DialBackService
        let reachability: Reachability
        let address: Address
        var changes = 0

        init(
            _ network: SimulatedNetwork, at address: SocketAddress, second: UInt16?, ports: [UInt16] = [],
            own: [SocketAddress]? = nil, isChosen: Bool = true, filtering: NATFamilyReport? = nil
        ) throws {
            let own = own ?? [address]
            let key = IdentityKey.generate()
            self.address = .quic(address.ip, port: address.port, nodeID: key.nodeID)
            endpoint = try Endpoint(key: key, driver: network.makeDriver(address: address), clock: network)
            let transport = QUICTransport(endpoint)
            connections = Connections(
                localNodeID: key.nodeID, transport: transport,
                dialer: Dialer(transport: transport, clock: network, limits: ConnectionLimits()), clock: network,
                limits: ConnectionLimits())
            let open: OpenChannel = { address in
                DatagramSocket(network.makeDriver(address: SocketAddress(address.ip, port: second ?? 0)))
            }
            alternate = AlternatePort(endpoint, open: second == nil ? nil : open)
            stun = STUNService(endpoint, alternate: alternate)
            service = DialBackService(alternate, clock: network)
            service.serve(on: connections)
            var surroundings = Reachability.Surroundings()
            surroundings.ports = { ports }
            surroundings.own = { own }
            surroundings.isChosen = { _ in isChosen }
            surroundings.filtering = { _ in filtering }
            reachability = Reachability(connections, stun: stun, surroundings: surroundings)
            reachability.onChange = { [weak self] in self?.changes += 1 }
            reachability.start()
            endpoint.start()
        }

        /// Dials back where the asker is, and says that this was at `victim`.
        func lie(_ victim: SocketAddress) {
            connections.registry.register(DialBackService.id, deadline: .unlimited(because: "a test")) {
                [alternate] session, stream in
                let request = try await FrameReader(stream, limit: DialBackMessage.limit).required()
                try await stream.writeFrame(
                    try DialBackMessage.encode(DialBackMessage.Report(status: .sent, observed: victim)))
                guard let asker = session.path.remote else { return }
                for probe in DialBackMessage.probes(request) ?? [] {
                    alternate.send(STUNMessage(.indication, transaction: probe.nonce).bytes, to: asker, from: nil)
                }
            }
        }

        func stop() {
            reachability.stop()
            connections.stop()
            alternate.close()
            endpoint.close()
        }
    }

    /// What an asker finds out within five seconds.
    private func outcome(
        second: UInt16? = second, ports: [UInt16] = [], at askerAddress: SocketAddress = asker,
        filtering: NATFamilyReport? = nil, asked: [SocketAddress] = [],
        _ filter: @escaping @NetworkActor (_ from: SocketAddress, _ to: SocketAddress) -> Bool
    ) async throws -> (Reachability.State, verified: [SocketAddress], refuted: Set<SocketAddress>, changes: Int) {
        let network = SimulatedWorld(seed: 1).network
        network.filter = { _, from, to in filter(from, to) }
        return try await network.run {
            let asker = try Peer(network, at: askerAddress, second: nil, ports: ports, filtering: filtering)
            let server = try Peer(network, at: Self.server, second: second)
            for observer in asked { asker.stun.wrote(to: observer) }
            _ = try await asker.connections.connect(to: DialTarget(addresses: [server.address]))
            try await network.sleep(for: .seconds(5))
            let result = asker.reachability
            defer {
                asker.stop()
                server.stop()
            }
            return (result.state, result.verified, result.refuted, asker.changes)
        }
    }

    @Test("packets of a stranger come in: the observed address is verified, a port that nobody has is not")
    func open() async throws {
        let seen = try await outcome(ports: [40_000]) { _, _ in true }
        #expect(seen.0 == .reachable)
        #expect(seen.verified == [Self.asker])
        #expect(seen.refuted == [SocketAddress(Self.asker.ip, port: 40_000)])
        #expect(seen.changes == 1)
    }

    @Test("only answers come in: the address is tried in vain")
    func closed() async throws {
        let seen = try await outcome { from, to in to != Self.asker || from.port != Self.second }
        #expect(seen.0 == .unreachable)
        #expect(seen.verified.isEmpty)
        #expect(seen.refuted == [Self.asker])
    }

    @Test("who gets through proves nothing where known addresses are let in")
    func confirmation() async throws {
        var report = NATFamilyReport()
        for (filtering, state) in [
            (NATFiltering?.none, Reachability.State.reachable), (.endpointIndependent, .reachable),
            (.addressDependent, .unreachable), (.endpointDependent, .unreachable),
        ] {
            report.filtering = filtering
            #expect(try await outcome(filtering: report) { _, _ in true }.0 == state)
        }
        // A stranger's port came in where those of known addresses are kept out: the port was forwarded.
        report.filtering = .addressAndPortDependent
        #expect(try await outcome(filtering: report) { _, _ in true }.0 == .reachable)
        // Unless it is let in because the node has asked there.
        #expect(
            try await outcome(filtering: report, asked: [SocketAddress(Self.server.ip, port: Self.second)]) { _, _ in
                true
            }.0 == .unknown)
        // What a gateway forwards is open to everyone, whatever its filtering is otherwise.
        report.filtering = .addressDependent
        #expect(try await outcome(ports: [Self.asker.port], filtering: report) { _, _ in true }.0 == .reachable)
    }

    private static let home = IPAddress(v4: 0x2d21_0001)

    /// What a node behind a NAT finds out that lets everyone in, from `servers` of which the first `liars` say that it is
    /// at a victim's address.
    private func behindNAT(
        servers: Int, liars: Int = 0, ports: [UInt16] = [], filtering: NATFiltering? = .endpointIndependent,
        isChosen: Bool = true, own: [SocketAddress] = []
    ) async throws -> (state: Reachability.State, verified: [SocketAddress], refuted: Set<SocketAddress>) {
        let network = SimulatedWorld(seed: 4).network
        let inside = v4(192, 168, 7, 10, 4001)
        network.add(
            SimulatedGateway(
                external: Self.home, inside: inside.ip, mapping: .nothing, filtering: .nothing, ports: .preserving,
                seed: 1))
        var report = NATFamilyReport()
        report.filtering = filtering
        return try await network.run {
            let asker = try Peer(
                network, at: inside, second: nil, ports: ports, own: own, isChosen: isChosen, filtering: report)
            var peers = [asker]
            for number in 0..<servers {
                let server = try Peer(network, at: v4(45, 10, UInt8(number), 1, 4001), second: Self.second)
                if number < liars { server.lie(Self.victim) }
                peers.append(server)
                _ = try await asker.connections.connect(to: DialTarget(addresses: [server.address]))
            }
            try await network.sleep(for: .seconds(5))
            let found = asker.reachability
            defer { for peer in peers { peer.stop() } }
            return (found.state, found.verified, found.refuted)
        }
    }

    /// Of a NAT that gives each connection another port, and lets nobody in but by what was forwarded by hand.
    private func behindForward(to port: UInt16?) async throws -> (Reachability.State, verified: [SocketAddress]) {
        let network = SimulatedWorld(seed: 5).network
        let inside = v4(192, 168, 7, 10, 4001)
        let gateway = SimulatedGateway(
            external: Self.home, inside: inside.ip, mapping: .addressAndPort, filtering: .addressAndPort,
            ports: .random, seed: 1)
        if let port { gateway.forwards[port] = inside }
        network.add(gateway)
        var report = NATFamilyReport()
        report.filtering = .endpointDependent
        return try await network.run {
            let asker = try Peer(network, at: inside, second: nil, filtering: report)
            var peers = [asker]
            for number in 0..<2 {
                let server = try Peer(network, at: v4(45, 10, UInt8(number), 1, 4001), second: Self.second)
                peers.append(server)
                _ = try await asker.connections.connect(to: DialTarget(addresses: [server.address]))
            }
            try await network.sleep(for: .seconds(8))
            let found = asker.reachability
            defer { for peer in peers { peer.stop() } }
            return (found.state, found.verified)
        }
    }

    @Test("a port that was forwarded by hand is found, whatever ports the NAT gives to what goes out")
    func staticForward() async throws {
        let open = try await behindForward(to: 4001)
        #expect(open.0 == .reachable && open.verified == [SocketAddress(Self.home, port: 4001)])
        for other in [UInt16?.none, 4002] {
            let closed = try await behindForward(to: other)
            #expect(closed.0 == .unreachable && closed.verified.isEmpty)
        }
    }

    private static let victim = v4(45, 99, 0, 1, 443)

    @Test("a lone server's word makes no address this node's; two that see the same do")
    func witnesses() async throws {
        let alone = try await behindNAT(servers: 1)
        #expect(alone.state == .unknown && alone.verified.isEmpty && alone.refuted.isEmpty)
        let both = try await behindNAT(servers: 2)
        #expect(both.state == .reachable && both.verified == [SocketAddress(Self.home, port: 4001)])
        // Nobody tells whether known addresses only are let in.
        #expect(try await behindNAT(servers: 2, filtering: nil).state == .unknown)
        // Servers that peers have sent this node to are no witnesses.
        #expect(try await behindNAT(servers: 2, isChosen: false).state == .unknown)
    }

    @Test("a server that names a victim is not believed, whoever else is asked")
    func liars() async throws {
        let alone = try await behindNAT(servers: 1, liars: 1)
        #expect(alone.state == .unknown && alone.verified.isEmpty)
        #expect(try await behindNAT(servers: 2, liars: 1).verified.isEmpty)
        let outvoted = try await behindNAT(servers: 3, liars: 1)
        #expect(outvoted.verified == [SocketAddress(Self.home, port: 4001)])
    }

    @Test("nor when it names a victim for a port that a gateway has opened")
    func liarsAboutMappedPorts() async throws {
        let mapped = SocketAddress(Self.home, port: 4001)
        #expect(try await behindNAT(servers: 1, liars: 1, ports: [4001]).verified.isEmpty)
        // The gateway has told the address: one server is enough to see that the port is open.
        let honest = try await behindNAT(servers: 1, ports: [4001], own: [mapped])
        #expect(honest.verified == [mapped])
        let told = try await behindNAT(servers: 1, liars: 1, ports: [4001], own: [mapped])
        #expect(told.verified.isEmpty)
        // It has not: two have to see this node there.
        #expect(try await behindNAT(servers: 1, ports: [4001]).verified.isEmpty)
        #expect(try await behindNAT(servers: 2, ports: [4001]).verified == [mapped])
    }

    @Test("two of three indications lost are no reason to say no")
    func lossy() async throws {
        var left = 2
        let seen = try await outcome { from, _ in
            guard from.port == Self.second, left > 0 else { return true }
            left -= 1
            return false
        }
        #expect(seen.0 == .reachable)
    }

    @Test("a node with one port, or an asker near by, says nothing either way")
    func undetermined() async throws {
        #expect(try await outcome(second: nil) { _, _ in true }.0 == .unknown)
        #expect(try await outcome(at: v4(192, 168, 1, 10, 4001)) { _, _ in true }.0 == .unknown)
    }

    @Test("only ports of the asker's own address are dialled, none where other services live, and only so often")
    func amplification() async throws {
        let network = SimulatedWorld(seed: 1).network
        var dialled: [SocketAddress] = []
        network.filter = { bytes, from, to in
            if from.port == Self.second {
                dialled.append(to)
                #expect(bytes.count <= 28)
            }
            return true
        }
        try await network.run {
            let asker = try Peer(network, at: Self.asker, second: nil)
            asker.reachability.stop()
            let server = try Peer(network, at: Self.server, second: Self.second)
            let session = try await asker.connections.connect(to: DialTarget(addresses: [server.address]))
            let id = STUNTransactionID(high: 1, low: 2)
            @NetworkActor func ask(_ ports: [UInt16]) async throws -> DialBackMessage.Report {
                let stream = try await session.openStream(DialBackService.id)
                try await stream.writeFrame(
                    try DialBackMessage.encode(ports.map { DialBackProbe(port: $0, nonce: id) }))
                stream.finish()
                let bytes = try await FrameReader(stream, limit: DialBackMessage.limit).required()
                return try #require(DialBackMessage.report(bytes))
            }
            #expect(try await ask([22, 443, 0, 5000]) == .init(status: .sent, observed: Self.asker))
            try await network.sleep(for: .seconds(1))
            let times = DialBackService.sendTimes.count
            #expect(dialled.allSatisfy { $0.ip == Self.asker.ip })
            let counts = Dictionary(grouping: dialled, by: \.port).mapValues(\.count)
            #expect(counts == [443: times, 4001: times, 5000: times])
            #expect(try await ask([1, 2, 3, 4, 5]).status == .malformed)
            for _ in 1..<DialBackLimiter.perAsker { #expect(try await ask([0]).status == .sent) }
            #expect(try await ask([0]).status == .limitReached)
            asker.stop()
            server.stop()
        }
    }

    @Test("messages come back as they went, and no bytes do harm")
    func wire() throws {
        let probes = [0, 443, 65_535].map { DialBackProbe(port: $0, nonce: STUNTransactionID(high: 7, low: 8)) }
        let request = try DialBackMessage.encode(probes)
        #expect(DialBackMessage.probes(request) == probes)
        for observed in [nil, Self.asker, v6(0x2600_1f00_0000_0000, 1, 9)] {
            let report = DialBackMessage.Report(status: .limitReached, observed: observed)
            #expect(DialBackMessage.report(try DialBackMessage.encode(report)) == report)
        }
        #expect(DialBackMessage.probes([]) == nil)
        for bytes in mutations(of: request, rounds: 2000, seed: 8) {
            #expect((DialBackMessage.probes(bytes)?.count ?? 0) <= DialBackMessage.probeLimit)
            _ = DialBackMessage.report(bytes)
        }
    }
}
