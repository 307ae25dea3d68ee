import DeP2P
import DeP2PApp
import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PSessions

/// Two nodes of one realm, as an application has them: messages, admission, connections that idle.
@NetworkActor
final class Members {
    typealias Measurement = @Sendable (Members) -> (@NetworkActor (Int) async throws -> Report)

    nonisolated static let measurements: [String: Measurement] = [
        "messages": { members in { try await members.latency(rounds: $0) } },
        "messages-pipelined": { members in { try await members.pipelined(messages: $0) } },
        "admission": { members in { try await members.admission(rounds: $0) } },
        "members-idle": { members in { try await members.idle(connections: $0) } },
    ]

    private static let messageSize = 1_024
    private static let depth = 64

    private let target: DialTarget
    private let body = [UInt8](repeating: 0x5A, count: messageSize)

    init(address: Address) { target = DialTarget(nodeID: address.nodeID, addresses: [address]) }

    static let realmKey = Array<UInt8>(0..<32)

    static func startNode(_ change: (inout NodeConfiguration) -> Void = { _ in }) async throws -> Node {
        var configuration = NodeConfiguration()
        configuration.preset = .server
        configuration.preset.quic.maxHandshakesPerSubject = 4_096
        configuration.preset.quic.retryThresholdPerSubject = 4_096
        configuration.listen = [SocketAddress(IPAddress(v4: 0x7F00_0001), port: 0)]
        change(&configuration)
        let node = try await Node.start(configuration)
        try node.join(RealmKey(bytes: realmKey))
        return node
    }

    /// Echoes messages until standard input ends.
    static func serve() async throws {
        let node = try await startNode()
        try node.onMessage { $0.body }
        var hello = Report()
        hello.add("address", node.addresses[0].description)
        hello.show()
        await untilInputEnds()
        await node.stop()
    }

    private func request(_ node: Node, _ session: Session) async throws {
        let reply = try await node.send(body, on: session)
        guard reply?.count == Self.messageSize else { throw BenchmarkError("a reply of \(reply?.count ?? 0) bytes") }
    }

    private func latency(rounds: Int) async throws -> Report {
        let node = try await Self.startNode()
        let session = try await node.connectMember(target)
        var samples: [Duration] = []
        samples.reserveCapacity(rounds)
        for _ in 0..<rounds {
            let started = ContinuousClock.now
            try await request(node, session)
            samples.append(.now - started)
        }
        await node.stop()
        return summary("messages", samples)
    }

    private func pipelined(messages: Int) async throws -> Report {
        let node = try await Self.startNode()
        let session = try await node.connectMember(target)
        let started = ContinuousClock.now
        var left = messages
        let workers = (0..<Self.depth).map { _ in
            networkTask { [self] in
                while left > 0 {
                    left -= 1
                    try await request(node, session)
                }
            }
        }
        for worker in workers { try await worker.value }
        var report = Report()
        report.add("mode", "messages-pipelined")
        report.add("count", messages)
        report.add("per_second", Double(messages) / seconds(.now - started))
        await node.stop()
        return report
    }

    /// From nothing to an admitted session, each time anew.
    private func admission(rounds: Int) async throws -> Report {
        let node = try await Self.startNode()
        var samples: [Duration] = []
        for _ in 0..<rounds {
            let started = ContinuousClock.now
            let session = try await node.connectMember(target)
            samples.append(.now - started)
            session.close(.goodbye)
            _ = try await session.waitClosed()
        }
        await node.stop()
        return summary("admission", samples)
    }

    /// Every connection from a node of its own.
    private func idle(connections: Int) async throws -> Report {
        var nodes: [Node] = []
        for _ in 0..<connections {
            let node = try await Self.startNode()
            _ = try await node.connectMember(target)
            nodes.append(node)
        }
        // Connection IDs and path-MTU probes are over by then, and a keep-alive has passed.
        try await nodes[0].clock.sleep(for: .seconds(4))
        var report = Report()
        report.add("mode", "members-idle")
        report.add("connections", connections)
        return report
    }
}
