import DeP2PReactor
import DeP2PSimulation
import Identity
import SessionTestSupport
import Testing

@testable import SystemLayer

@Suite @NetworkActor struct ConnectionsTests {
    private let network = MemoryNetwork()

    private func code(of body: () async throws -> Session) async -> ConnectError? {
        do {
            _ = try await body()
            return nil
        } catch {
            return error as? ConnectError
        }
    }

    @Test func anOpenSessionIsUsedAgain() async throws {
        let (left, right) = (MemoryNode(in: network, port: 1), MemoryNode(in: network, port: 2))
        let first = try await left.connect(to: right)
        #expect(try await left.connect(to: right) === first)
        #expect(first.attempts.map(\.outcome) == [.connected])
        #expect(network.dialled.count == 1)
    }

    @Test func callersAtOnceShareADial() async throws {
        let (left, right) = (MemoryNode(in: network, port: 1), MemoryNode(in: network, port: 2))
        async let first = left.connect(to: right)
        async let second = left.connect(to: right)
        let sessions = try await [first, second]
        #expect(sessions[0] === sessions[1])
        #expect(network.dialled.count == 1)
    }

    /// A dial that its last caller gave up winds up for a moment: who comes then is not to end with it.
    @Test func aDialThatWasGivenUpIsNotJoined() async throws {
        let (left, right) = (MemoryNode(in: network, port: 1), MemoryNode(in: network, port: 2))
        let dead = SocketAddress(.v4Loopback, port: 9)
        network.behaviours[dead] = .hang
        let target = DialTarget(
            nodeID: right.nodeID, addresses: [Address.quic(dead.ip, port: dead.port).with(nodeID: right.nodeID)])
        let givenUp = networkTask { try await left.connections.connect(to: target) }
        while network.dialled.isEmpty { await Task.yield() }
        givenUp.cancel()
        _ = await givenUp.result
        #expect(try await left.connect(to: right).remoteNodeID == right.nodeID)
    }

    @Test func aWrongNodeIsNamedWithTheOneExpected() async throws {
        let (left, right) = (MemoryNode(in: network, port: 1), MemoryNode(in: network, port: 2))
        let expected = IdentityKey.generate().nodeID
        let error = await code {
            try await left.connections.connect(
                to: DialTarget(nodeID: expected, addresses: [right.address.with(nodeID: expected)]))
        }
        #expect(error?.code == .wrongPeer)
        #expect(error?.reason.contains("\(expected)") == true && error?.reason.contains("\(right.nodeID)") == true)
    }

    @Test func diallingItselfIsSaid() async throws {
        let left = MemoryNode(in: network, port: 1)
        #expect(await code { try await left.connect(to: left) }?.code == .dialledSelf)
    }

    @Test func theSecondAddressIsTriedWhenTheFirstHangs() async throws {
        let (left, right) = (MemoryNode(in: network, port: 1), MemoryNode(in: network, port: 2))
        let dead = SocketAddress(.v4Loopback, port: 9)
        network.behaviours[dead] = .hang
        let addresses = [Address.quic(dead.ip, port: dead.port), right.address]
        let session = try await network.clock.run {
            try await left.connections.connect(to: DialTarget(addresses: addresses))
        }
        #expect(session.remoteNodeID == right.nodeID)
        #expect(session.attempts.map(\.outcome) == [.connected, .superseded])
    }

    @Test func theDeadlineEndsEverything() async throws {
        let left = MemoryNode(in: network, port: 1)
        let dead = SocketAddress(.v4Loopback, port: 9)
        network.behaviours[dead] = .hang
        let target = DialTarget(nodeID: IdentityKey.generate().nodeID, addresses: [.quic(dead.ip, port: dead.port)])
        let error = await network.clock.run {
            await code { try await left.connections.connect(to: target, timeout: .milliseconds(20)) }
        }
        #expect(error?.code == .timeout)
        #expect(error?.attempts.map(\.outcome) == [.timeout])
    }

    @Test func eachBadAddressIsRecorded() async throws {
        let left = MemoryNode(in: network, port: 1)
        let relay = IdentityKey.generate().nodeID
        let addresses = try [
            "/ip4/127.0.0.1/udp/7/quic-v1", "/ip4/0.0.0.0/udp/7/quic-v1", "/ip4/127.0.0.1/tcp/7/tls",
            "/dnsaddr/example.org/udp/7/quic-v1", "/ip4/127.0.0.1/udp/7/quic-v1/p2p/\(relay)/p2p-circuit",
        ].map { text in try Address(text) }
        let error = await code {
            try await left.connections.connect(
                to: DialTarget(nodeID: IdentityKey.generate().nodeID, addresses: addresses))
        }
        #expect(error?.code == .refused)
        #expect(error?.attempts.count { $0.outcome == .unsupported } == 4)
        #expect(error?.attempts.contains { $0.stage == .relay } == true)
    }

    @Test func namesAreResolvedAndTheirFailureIsTold() async throws {
        let right = MemoryNode(in: network, port: 2)
        let key = IdentityKey.generate()
        let clock = network.clock
        let resolver = NameResolver(clock: clock, deadline: .seconds(1)) { name, _ in
            name == "good.test"
                ? .success([.v4Loopback]) : .failure(TransportFailure(.nameUnknown, detail: "no such name"))
        }
        let connections = Connections(
            localNodeID: key.nodeID, transport: network.node(key.nodeID, at: SocketAddress(.v4Loopback, port: 1)),
            clock: clock, limits: ConnectionLimits(), resolver: resolver)
        let names = try ["/dns/bad.test/udp/2/quic-v1", "/dns4/good.test/udp/2/quic-v1"].map { text in try Address(text)
        }
        let session = try await connections.connect(to: DialTarget(nodeID: right.nodeID, addresses: names))
        #expect(session.remoteNodeID == right.nodeID)
        let error = await code { try await connections.connect(to: DialTarget(addresses: [names[0]])) }
        #expect(error?.code == .nameUnknown)
        #expect(error?.attempts.map(\.stage) == [.resolve])
    }

    @Test func aStoppedNodeSaysGoodbyeAndTakesNobody() async throws {
        let (left, right) = (MemoryNode(in: network, port: 1), MemoryNode(in: network, port: 2))
        let session = try await left.connect(to: right)
        right.connections.stop()
        #expect(session.end?.cause == .closedByPeer(.goodbye))
        let late = try await left.connect(to: right)
        #expect(late.end?.cause == .closedByPeer(.goodbye))
    }
}
