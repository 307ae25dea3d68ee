import DeP2P
import DeP2PIdentity
import DeP2PQUIC
import DeP2PReach
import DeP2PReactor
import DeP2PRealm
import DeP2PSessions
import Glibc

/// Thousands of members of one realm that are connected with one node and say nothing: each with an identity, an address of
/// 127.0.0.0/8 and a socket of its own, and nothing else of a node, so that one process has many of them.
@NetworkActor
final class Crowd {
    typealias Measurement = @Sendable (Crowd) -> (@NetworkActor (Int) async throws -> Report)

    nonisolated static let measurements: [String: Measurement] = [
        "members-crowd": { crowd in { try await crowd.come($0) } }
    ]

    /// So many connections the server takes: more than any preset has.
    private static let most = 12_000
    /// Of each stretch between two marks the last so many are measured.
    private static let sample = 500
    /// How long nothing happens at a mark before it is told: keep-alives have passed by then.
    private static let rest = Duration.seconds(4)

    private struct Member {
        let endpoint: Endpoint
        let connections: Connections
        let realm: Realm
    }

    private let target: DialTarget
    private let key: RealmKey
    private var members: [Member] = []

    init(address: Address) throws {
        target = DialTarget(nodeID: address.nodeID, addresses: [address])
        key = try RealmKey(bytes: Members.realmKey)
    }

    /// A server whose watermarks are above what comes, until standard input ends.
    static func serve() async throws {
        let node = try await Members.startNode { configuration in
            configuration.preset.setWatermarks(low: most, high: most)
        }
        var hello = Report()
        hello.add("address", node.addresses[0].description)
        hello.show()
        await untilInputEnds()
        await node.stop()
    }

    /// One after the other; at a tenth, the half and the end of them it tells how long each of the last took.
    private func come(_ count: Int) async throws -> Report {
        let marks = [count / 10, count / 2, count].filter { $0 > 0 }
        var samples: [Duration] = []
        samples.reserveCapacity(count)
        for number in 1...count {
            let started = ContinuousClock.now
            try await comeOnce(number)
            samples.append(.now - started)
            guard marks.contains(number) else { continue }
            var report = summary("members-crowd", samples.suffix(Self.sample))
            report.add("connections", number)
            report.show()
            report = Report()
            try await members[0].connections.clock.sleep(for: Self.rest)
            report.add("open", members.count { $0.connections.sessions.contains(where: \.isAdmitted) })
            report.show()
            samples.removeAll(keepingCapacity: true)
        }
        // The last has been told: whoever reads this may look at the server as long as it likes.
        await untilInputEnds()
        return Report()
    }

    private func comeOnce(_ number: Int) async throws {
        let key = IdentityKey.generate()
        let address = IPAddress(v4: 0x7F01_0000 + UInt32(number / 250) << 8 + UInt32(number % 250) + 2)
        let endpoint = try Endpoint(
            key: key, driver: UDPDriver(bind: [SocketAddress(address, port: 0)]), configuration: Self.configuration)
        let transport = QUICTransport(endpoint)
        let clock = endpoint.clock
        let connections = Connections(
            localNodeID: key.nodeID, transport: transport,
            dialer: Dialer(transport: transport, clock: clock, limits: ConnectionLimits()), clock: clock,
            limits: ConnectionLimits())
        let realm = Realm(connections)
        try realm.join(self.key)
        endpoint.start()
        let session = try await connections.connect(to: target)
        try await realm.admit(session)
        members.append(Member(endpoint: endpoint, connections: connections, realm: realm))
    }

    private static var configuration: EndpointConfiguration { Preset.desktop.quic }
}
