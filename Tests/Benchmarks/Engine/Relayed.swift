import DeP2P
import DeP2PIdentity
import DeP2PQUIC
import DeP2PReach
import DeP2PReactor
import DeP2PSessions

/// Nodes that reach each other through a relay, or directly at an address without one: the same program for both. They
/// are members of a realm: a stranger has small windows, and fills nothing with them.
@NetworkActor
final class Relayed {
    typealias Measurement = @Sendable (Relayed) -> (@NetworkActor (Int) async throws -> Report)

    nonisolated static let measurements: [String: Measurement] = [
        "node-throughput": { relayed in { try await relayed.throughput(mebibytes: $0) } },
        "node-latency": { relayed in { try await relayed.latency(rounds: $0) } },
        "node-circuits": { relayed in { try await relayed.circuits(count: $0) } },
        "node-flood": { relayed in { try await relayed.flood(seconds: $0) } },
    ]

    private static let protocolID = "/dep2p/benchmark/1.0.0"
    private static let blockSize = 256 * 1_024
    private static let messageSize = 1_024
    private static let datagramSize = 1_200
    private static let circuitsPerNode = 32

    private let address: Address

    init(address: Address) { self.address = address }

    private static func startNode(_ change: (inout NodeConfiguration) -> Void = { _ in }) async throws -> Node {
        var configuration = NodeConfiguration()
        configuration.preset = .server
        configuration.preset.quic.maxHandshakesPerSubject = 4_096
        configuration.preset.quic.retryThresholdPerSubject = 4_096
        configuration.preset.quic.retryThreshold = 4_096
        configuration.listen = [SocketAddress(IPAddress(v4: 0x7F00_0001), port: 0)]
        configuration.reserves = false
        change(&configuration)
        let node = try await Node.start(configuration)
        try node.join(RealmKey(bytes: Array(0..<32)))
        return node
    }

    /// A node that is reached through a relay, and through it only.
    private static func startServer(behind relay: Address) async throws -> Node {
        let node = try await startNode {
            $0.relays = [relay]
            $0.reserves = true
            // What is measured stays on the path that it was dialled over.
            $0.usesDirect = false
        }
        node.connections.registry.register(protocolID, deadline: .unlimited(because: "a test")) { _, stream in
            try await answer(stream)
        }
        guard await node.waitForRelay(timeout: .seconds(10)) else { throw BenchmarkError("no reservation") }
        return node
    }

    /// Serves the requests of ``Client`` behind a relay until standard input ends.
    static func serve(behind relay: Address) async throws {
        let node = try await startServer(behind: relay)
        let direct = Address.quic(
            IPAddress(v4: 0x7F00_0001), port: node.localAddresses[0].port, nodeID: node.nodeID)
        var hello = Report()
        hello.add("address", node.relayReservations[0].address.description)
        hello.add("direct", direct.description)
        hello.show()
        await untilInputEnds()
        await node.stop()
    }

    private func connect() async throws -> (Node, Session) {
        let node = try await Self.startNode { $0.usesDirect = !address.isRelayed }
        return (node, try await node.connectMember(DialTarget(addresses: [address])))
    }

    private func throughput(mebibytes: Int) async throws -> Report {
        let (node, session) = try await connect()
        let stream = try await session.openStream(Self.protocolID)
        let block = Chunk([UInt8](repeating: Request.sink, count: Self.blockSize))
        let started = ContinuousClock.now
        for _ in 0..<mebibytes * 1_024 * 1_024 / Self.blockSize { try await stream.write(block) }
        stream.finish()
        _ = try await stream.read()
        let elapsed = seconds(.now - started)
        var report = Report()
        report.add("mode", "node-throughput")
        report.add("path", session.path.description)
        report.add("mib_per_second", Double(mebibytes) / elapsed)
        await node.stop()
        return report
    }

    private func latency(rounds: Int) async throws -> Report {
        let (node, session) = try await connect()
        let message = Chunk([UInt8](repeating: Request.echo, count: Self.messageSize))
        var samples: [Duration] = []
        for _ in 0..<rounds {
            let started = ContinuousClock.now
            let stream = try await session.openStream(Self.protocolID)
            try await stream.write(message)
            stream.finish()
            while try await stream.read() != nil {}
            samples.append(.now - started)
        }
        await node.stop()
        return summary("node-latency", samples)
    }

    /// As few nodes as a relay's default limits ask for, 32 circuits each, and a connection over every circuit.
    private func circuits(count: Int) async throws -> Report {
        guard let relay = address.relay?.address else { throw BenchmarkError("not an address through a relay") }
        var nodes: [Node] = []
        for _ in 0..<max(2 * count / Self.circuitsPerNode + 1, 2) {
            nodes.append(try await Self.startServer(behind: relay))
        }
        // Each with those that follow it in the circle.
        var made = 0
        for step in 1..<nodes.count {
            for (index, node) in nodes.enumerated() where made < count {
                let target = nodes[(index + step) % nodes.count].relayReservations[0].address
                _ = try await node.connectMember(DialTarget(addresses: [target]), timeout: .seconds(60))
                made += 1
            }
        }
        // Connection IDs and path-MTU probes are over by then, and a keep-alive has passed.
        try await nodes[0].clock.sleep(for: .seconds(4))
        var report = Report()
        report.add("mode", "node-circuits")
        report.add("circuits", made)
        report.add("nodes", nodes.count)
        // The harness looks at the relay before the circuits end.
        report.show()
        await untilInputEnds()
        return report
    }

    /// Sends a relay frames that are nobody's, as fast as they go.
    private func flood(seconds limit: Int) async throws -> Report {
        guard let relay = address.relay?.address, case .ip(let ip)? = relay.host,
            case .quic(let port)? = relay.transport
        else { throw BenchmarkError("not an address through a relay") }
        let socket = try DatagramSocket(.v4)
        let frame = [UInt8](repeating: 0x10, count: Self.datagramSize)
        let started = ContinuousClock.now
        var sent = 0
        while .now - started < .seconds(limit) {
            for _ in 0..<64 { socket.send(frame, to: SocketAddress(ip, port: port)) }
            sent += 64
            await Task.yield()
        }
        socket.close()
        var report = Report()
        report.add("mode", "node-flood")
        report.add("per_second", Double(sent) / seconds(.now - started))
        return report
    }
}
