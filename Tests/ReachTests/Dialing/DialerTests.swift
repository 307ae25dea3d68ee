import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import Testing

@testable import DeP2PReach
@testable import DeP2PSessions

@Suite @NetworkActor struct DialerTests {
    private let world = SimulatedWorld(seed: 1, latency: .zero)

    private func code(of body: () async throws -> Session) async -> ConnectError? {
        do {
            _ = try await body()
            return nil
        } catch {
            return error as? ConnectError
        }
    }

    @Test func aWrongNodeIsNamedWithTheOneExpected() async throws {
        let (left, right) = (world.lightNode(port: 1), world.lightNode(port: 2))
        let expected = IdentityKey.generate().nodeID
        let error = await code {
            try await left.connections.connect(
                to: DialTarget(nodeID: expected, addresses: [right.address.with(nodeID: expected)]))
        }
        #expect(error?.code == .wrongPeer)
        #expect(error?.reason.contains("\(expected)") == true && error?.reason.contains("\(right.nodeID)") == true)
    }

    @Test func theSecondAddressIsTriedWhenTheFirstHangs() async throws {
        let (left, right) = (world.lightNode(port: 1), world.lightNode(port: 2))
        let dead = SocketAddress(.v4Loopback, port: 9)
        world.light.behaviours[dead] = .hang
        let addresses = [Address.quic(dead.ip, port: dead.port), right.address]
        let session = try await world.run {
            try await left.connections.connect(to: DialTarget(addresses: addresses))
        }
        #expect(session.remoteNodeID == right.nodeID)
        #expect(session.attempts.map(\.outcome) == [.connected, .superseded])
    }

    @Test func theDeadlineEndsEverything() async throws {
        let left = world.lightNode(port: 1)
        let dead = SocketAddress(.v4Loopback, port: 9)
        world.light.behaviours[dead] = .hang
        let target = DialTarget(nodeID: IdentityKey.generate().nodeID, addresses: [.quic(dead.ip, port: dead.port)])
        let error = await world.run {
            await code { try await left.connections.connect(to: target, timeout: .milliseconds(20)) }
        }
        #expect(error?.code == .timeout)
        #expect(error?.attempts.map(\.outcome) == [.timeout])
    }

    @Test func eachBadAddressIsRecorded() async throws {
        let left = world.lightNode(port: 1)
        let relay = IdentityKey.generate().nodeID
        let addresses = try [
            "/ip4/127.0.0.1/udp/7/quic-v1", "/ip4/0.0.0.0/udp/7/quic-v1", "/ip4/127.0.0.1/tcp/7/tls",
            "/ip4/127.0.0.1/udp/7/quic-v1/p2p/\(relay)/p2p-circuit",
        ].map { text in try Address(text) }
        let error = await code {
            try await left.connections.connect(
                to: DialTarget(nodeID: IdentityKey.generate().nodeID, addresses: addresses))
        }
        #expect(error?.code == .refused)
        #expect(error?.attempts.count { $0.outcome == .unsupported } == 3)
        #expect(error?.attempts.contains { $0.stage == .relay } == true)
    }

    @Test func namesAreResolvedAndTheirFailureIsTold() async throws {
        let right = world.lightNode(port: 2)
        let key = IdentityKey.generate()
        let clock = world.network
        let resolver = NameResolver(clock: clock, deadline: .seconds(1)) { name, _ in
            name == "good.test"
                ? .success([.v4Loopback]) : .failure(TransportFailure(.nameUnknown, detail: "no such name"))
        }
        let transport = world.light.node(key.nodeID, at: SocketAddress(.v4Loopback, port: 1))
        let connections = Connections(
            localNodeID: key.nodeID, transport: transport,
            dialer: Dialer(transport: transport, clock: clock, limits: ConnectionLimits(), resolver: resolver),
            clock: clock, limits: ConnectionLimits())
        let names = try ["/dns/bad.test/udp/2/quic-v1", "/dns4/good.test/udp/2/quic-v1"].map { text in try Address(text)
        }
        let session = try await connections.connect(to: DialTarget(nodeID: right.nodeID, addresses: names))
        #expect(session.remoteNodeID == right.nodeID)
        let error = await code { try await connections.connect(to: DialTarget(addresses: [names[0]])) }
        #expect(error?.code == .nameUnknown)
        #expect(error?.attempts.map(\.stage) == [.resolve])
    }
}
