import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor

/// Strangers by the thousand: as many connections as this machine makes, of ever new identities and from all of
/// 127.0.0.0/8, each held for as long as the node lets it. What a node under attack sees: Tests/Hostile starts it.
@NetworkActor
final class Strangers {
    typealias Measurement = @Sendable (Strangers) -> (@NetworkActor (Int) async throws -> Report)

    nonisolated static let measurements: [String: Measurement] = [
        "strangers": { strangers in { try await strangers.come($0) } }
    ]

    /// Handshakes at once, and connections of each identity: a node takes no more of one.
    private static let workers = 64
    private static let connectionsPerIdentity = 8
    /// Sockets held; beyond it the oldest goes, with its connections.
    private static let endpointLimit = 400
    /// It is told how long it took until that many had shaken hands.
    private static let marks = [400, 2_000]

    private let remote: SocketAddress
    private let nodeID: NodeID
    private let started = ContinuousClock.now
    private var endpoints: [(endpoint: Endpoint, connections: [Connection])] = []
    private var nextSource: UInt32 = 0
    private var (established, failed) = (0, 0)
    private var report = Report()

    init(address: Address) throws {
        guard case .ip(let ip)? = address.host, case .quic(let port)? = address.transport, let nodeID = address.nodeID
        else { throw BenchmarkError("not the address of a node over UDP: \(address)") }
        remote = SocketAddress(ip, port: port)
        self.nodeID = nodeID
        report.add("mode", "strangers")
    }

    /// Until that many have shaken hands.
    private func come(_ count: Int) async throws -> Report {
        let workers = (0..<Self.workers).map { _ in
            networkTask { [self] in
                while established < count { try await comeOnce(of: count) }
            }
        }
        for worker in workers { try await worker.value }
        report.add("established", established)
        report.add("failed", failed)
        report.add("held", endpoints.reduce(0) { $0 + $1.connections.count { $0.closeReason == nil } })
        report.add("per_second", Double(established) / seconds(.now - started))
        for (endpoint, _) in endpoints { endpoint.close() }
        return report
    }

    /// The connections of one identity from one address.
    private func comeOnce(of count: Int) async throws {
        let endpoint = try Endpoint(
            key: .generate(), driver: UDPDriver(bind: [SocketAddress(source(), port: 0)]),
            configuration: configuration())
        endpoint.start()
        var connections: [Connection] = []
        while connections.count < Self.connectionsPerIdentity, established < count {
            do {
                connections.append(try await endpoint.connect(to: remote, expecting: nodeID))
                established += 1
                if Self.marks.contains(established) {
                    report.add("seconds_to_\(established)", seconds(.now - started))
                }
            } catch {
                failed += 1
            }
        }
        endpoints.append((endpoint, connections))
        if endpoints.count > Self.endpointLimit { endpoints.removeFirst().endpoint.close() }
    }

    /// Each time one of another subnet, until all have had their turn.
    private func source() -> IPAddress {
        nextSource += 1
        let (subnet, host) = (nextSource % 60_000, nextSource / 60_000 % 250)
        return IPAddress(v4: 0x7F01_0000 + (subnet << 8) + host + 2)
    }
}
