import DeP2P
import DeP2PIdentity
import DeP2PQUIC
import DeP2PReach
import DeP2PReactor
import DeP2PRealm
import DeP2PSessions
import Glibc

/// Thousands of members of one realm that are connected with one node, straight or through a relay, and say nothing: each
/// with an identity, an address of 127.0.0.0/8 and a socket of its own, and nothing else of a node, so that one process has
/// many of them.
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
    /// So many, the first that came, are asked for a sign of life then.
    private static let asked = 50

    private struct Member {
        let endpoint: Endpoint
        let connections: Connections
        let realm: Realm
        let relays: RelayClient
    }

    private let target: DialTarget
    private let key: RealmKey
    private var members: [Member] = []
    /// A stream each, by the place among ``members``: a session has few for pings.
    private var pingers: [Int: Pinger] = [:]

    init(address: Address) throws {
        target = DialTarget(nodeID: address.nodeID, addresses: [address])
        key = try RealmKey(bytes: Members.realmKey)
    }

    /// A server whose watermarks are above what comes, until standard input ends.
    ///
    /// - Parameter relay: by which it is reached, and by nothing else.
    static func serve(behind relay: Address? = nil) async throws {
        let node = try await Members.startNode { configuration in
            configuration.preset.setWatermarks(low: most, high: most)
            guard let relay else { return }
            (configuration.relays, configuration.usesDirect) = ([relay], false)
        }
        if relay != nil, await !node.waitForRelay(timeout: .seconds(10)) { throw BenchmarkError("no reservation") }
        var hello = Report()
        hello.add("address", (node.relayReservations.first?.address ?? node.addresses[0]).description)
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
            report.add("answered", try await answering())
            report.show()
            samples.removeAll(keepingCapacity: true)
        }
        // The last has been told: whoever reads this may look at the server as long as it likes.
        await untilInputEnds()
        return Report()
    }

    /// How many of those that are asked for a sign of life hear from the server.
    private func answering() async throws -> Int {
        var count = 0
        for (place, member) in members.prefix(Self.asked).enumerated() {
            guard let session = member.connections.sessions.first(where: \.isAdmitted) else { continue }
            let pinger: Pinger
            if let known = pingers[place] { pinger = known } else { pinger = try await Ping.open(session) }
            pingers[place] = pinger
            _ = try await pinger.ping(timeout: .seconds(5))
            count += 1
        }
        return count
    }

    /// Another for each; and another subnet, for a relay gives each only so much.
    private static func address(_ number: Int) -> IPAddress {
        IPAddress(v4: 0x7F01_0002 + UInt32(number % 200) << 16 + UInt32(number / 200) << 8)
    }

    private func comeOnce(_ number: Int) async throws {
        let key = IdentityKey.generate()
        let address = Self.address(number)
        let endpoint = try Endpoint(
            key: key, driver: UDPDriver(bind: [SocketAddress(address, port: 0)]), configuration: Self.configuration)
        let transport = QUICTransport(endpoint)
        let clock = endpoint.clock
        let dialer = Dialer(transport: transport, clock: clock, limits: ConnectionLimits())
        let connections = Connections(
            localNodeID: key.nodeID, transport: transport, dialer: dialer, clock: clock, limits: ConnectionLimits())
        let relays = RelayClient(connections, dialer: dialer, endpoint: endpoint)
        if target.addresses.contains(where: \.isRelayed) { relays.dialThroughRelays() }
        let realm = Realm(connections)
        try realm.join(self.key)
        endpoint.start()
        let session = try await connections.connect(to: target)
        try await realm.admit(session)
        members.append(Member(endpoint: endpoint, connections: connections, realm: realm, relays: relays))
    }

    private static var configuration: EndpointConfiguration { Preset.desktop.quic }
}
