import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import Glibc

/// The measuring side of one benchmark. Each measurement returns one report.
@NetworkActor
final class Client {
    typealias Measurement = @Sendable (Client) -> (@NetworkActor (Int) async throws -> Report)

    nonisolated static let measurements: [String: Measurement] = [
        "throughput": { client in { try await client.throughput(mebibytes: $0) } },
        "latency": { client in { try await client.latency(rounds: $0) } },
        "pipelined": { client in { try await client.pipelined(requests: $0) } },
        "handshake": { client in { try await client.handshake(rounds: $0) } },
        "first-contact": { client in { try await client.firstContact(rounds: $0) } },
    ]

    private static let messageSize = 1_024
    private static let depth = 64
    private static let blockSize = 256 * 1_024

    private let endpoint: Endpoint
    private let remote: SocketAddress
    private let nodeID: NodeID

    init(address: Address) throws {
        guard case .ip(let ip)? = address.host, case .quic(let port)? = address.transport, let nodeID = address.nodeID
        else { throw BenchmarkError("not the address that serve printed: \(address)") }
        remote = SocketAddress(ip, port: port)
        self.nodeID = nodeID
        endpoint = try Self.makeEndpoint()
    }

    private static func makeEndpoint() throws -> Endpoint {
        let endpoint = try Endpoint(
            key: .generate(), driver: UDPDriver(bind: [SocketAddress(IPAddress(v4: 0x7F00_0001), port: 0)]),
            configuration: configuration())
        endpoint.start()
        return endpoint
    }

    func close() { endpoint.close() }

    private func connect() async throws -> Connection {
        try await endpoint.connect(to: remote, expecting: nodeID)
    }

    private func throughput(mebibytes: Int) async throws -> Report {
        let stream = try await connect().openStream()
        let block = Chunk([UInt8](repeating: Request.sink, count: Self.blockSize))
        let started = ContinuousClock.now
        for _ in 0..<mebibytes * 1_024 * 1_024 / Self.blockSize { try await stream.write(block) }
        stream.finish()
        _ = try await stream.read()
        let elapsed = seconds(.now - started)
        var report = Report()
        report.add("mode", "throughput")
        report.add("mib", mebibytes)
        report.add("seconds", elapsed)
        report.add("mib_per_second", Double(mebibytes) / elapsed)
        report.add("sender_cpu", processorSeconds())
        return report
    }

    private let message = Chunk([UInt8](repeating: Request.echo, count: messageSize))

    /// One request on a stream of its own, as messaging does it.
    private func request(_ connection: Connection) async throws {
        let stream = try await connection.openStream()
        try await stream.write(message)
        stream.finish()
        var received = 0
        while let chunk = try await stream.read() { received += chunk.count }
        guard received == Self.messageSize else { throw BenchmarkError("a reply of \(received) bytes") }
    }

    private func latency(rounds: Int) async throws -> Report {
        let connection = try await connect()
        var samples: [Duration] = []
        samples.reserveCapacity(rounds)
        for _ in 0..<rounds {
            let started = ContinuousClock.now
            try await request(connection)
            samples.append(.now - started)
        }
        return summary("latency", samples)
    }

    private func pipelined(requests: Int) async throws -> Report {
        let connection = try await connect()
        let started = ContinuousClock.now
        var left = requests
        let workers = (0..<Self.depth).map { _ in
            networkTask { [self] in
                while left > 0 {
                    left -= 1
                    try await request(connection)
                }
            }
        }
        for worker in workers { try await worker.value }
        var report = Report()
        report.add("mode", "pipelined")
        report.add("count", requests)
        report.add("per_second", Double(requests) / seconds(.now - started))
        return report
    }

    private func handshake(rounds: Int) async throws -> Report {
        var samples: [Duration] = []
        for _ in 0..<rounds { samples.append(try await firstByte(from: endpoint)) }
        return summary("handshake", samples)
    }

    /// Two nodes that have never met: neither has checked the other's certificate before.
    private func firstContact(rounds: Int) async throws -> Report {
        var samples: [Duration] = []
        for _ in 0..<rounds {
            let stranger = try Self.makeEndpoint()
            samples.append(try await firstByte(from: stranger))
            stranger.close()
        }
        return summary("first-contact", samples)
    }

    private func firstByte(from endpoint: Endpoint) async throws -> Duration {
        let started = ContinuousClock.now
        let connection = try await endpoint.connect(to: remote, expecting: nodeID)
        let stream = try await connection.openStream()
        try await stream.write(Chunk([Request.echo]))
        stream.finish()
        _ = try await stream.read()
        let elapsed = ContinuousClock.now - started
        connection.close(code: 0)
        return elapsed
    }
}

struct BenchmarkError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
