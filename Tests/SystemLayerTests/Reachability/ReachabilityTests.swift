import Identity
import QUIC
import Testing

@testable import SystemLayer

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
            filtering: NATFamilyReport? = nil
        ) throws {
            let key = IdentityKey.generate()
            self.address = .quic(address.ip, port: address.port, nodeID: key.nodeID)
            endpoint = try Endpoint(key: key, driver: network.makeDriver(address: address), clock: network)
            connections = Connections(
                localNodeID: key.nodeID, transport: QUICTransport(endpoint), clock: network, limits: ConnectionLimits())
            let open: OpenChannel = { address in
                DatagramSocket(network.makeDriver(address: SocketAddress(address.ip, port: second ?? 0)))
            }
            alternate = AlternatePort(endpoint, open: second == nil ? nil : open)
            stun = STUNService(endpoint, alternate: alternate)
            service = DialBackService(alternate, clock: network)
            service.serve(on: connections)
            reachability = Reachability(
                connections, endpoint: endpoint, ports: { ports }, filtering: { _ in filtering })
            reachability.onChange = { [weak self] in self?.changes += 1 }
            reachability.start()
            endpoint.start()
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
        filtering: NATFamilyReport? = nil,
        _ filter: @escaping @NetworkActor (_ from: SocketAddress, _ to: SocketAddress) -> Bool
    ) async throws -> (Reachability.State, verified: [SocketAddress], refuted: Set<SocketAddress>, changes: Int) {
        let network = SimulatedNetwork(seed: 1)
        network.filter = { _, from, to in filter(from, to) }
        return try await network.run {
            let asker = try Peer(network, at: askerAddress, second: nil, ports: ports, filtering: filtering)
            let server = try Peer(network, at: Self.server, second: second)
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

    @Test("a server that got through proves nothing where known addresses are let in, or others see another address")
    func confirmation() async throws {
        var report = NATFamilyReport()
        report.mapped = SocketAddress(Self.asker.ip, port: 777)
        for (filtering, state) in [
            (NATFiltering?.none, Reachability.State.reachable), (.endpointIndependent, .reachable),
            (.addressDependent, .unreachable), (.endpointDependent, .unreachable),
        ] {
            report.filtering = filtering
            #expect(try await outcome(filtering: report) { _, _ in true }.0 == state)
        }
        report.filtering = .endpointIndependent
        report.mapped = v4(45, 99, 0, 1, 4001)
        #expect(try await outcome(filtering: report) { _, _ in true }.0 == .unreachable)
        // What a gateway forwards is open to everyone, whatever its filtering is otherwise.
        report.filtering = .addressDependent
        #expect(try await outcome(ports: [Self.asker.port], filtering: report) { _, _ in true }.0 == .reachable)
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
        let network = SimulatedNetwork(seed: 1)
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
