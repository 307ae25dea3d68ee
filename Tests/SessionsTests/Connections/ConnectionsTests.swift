import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import Testing

@testable import DeP2PSessions

@Suite @NetworkActor struct ConnectionsTests {
    private let world = SimulatedWorld(seed: 1, latency: .zero)

    private func code(of body: () async throws -> Session) async -> ConnectError? {
        do {
            _ = try await body()
            return nil
        } catch {
            return error as? ConnectError
        }
    }

    @Test func anOpenSessionIsUsedAgain() async throws {
        let (left, right) = (world.lightNode(port: 1), world.lightNode(port: 2))
        let first = try await left.connect(to: right)
        #expect(try await left.connect(to: right) === first)
        #expect(first.attempts.map(\.outcome) == [.connected])
        #expect(world.light.dialled.count == 1)
    }

    @Test func callersAtOnceShareADial() async throws {
        let (left, right) = (world.lightNode(port: 1), world.lightNode(port: 2))
        async let first = left.connect(to: right)
        async let second = left.connect(to: right)
        let sessions = try await [first, second]
        #expect(sessions[0] === sessions[1])
        #expect(world.light.dialled.count == 1)
    }

    /// A dial that its last caller gave up winds up for a moment: who comes then is not to end with it.
    @Test func aDialThatWasGivenUpIsNotJoined() async throws {
        let (left, right) = (world.lightNode(port: 1), world.lightNode(port: 2))
        let dead = SocketAddress(.v4Loopback, port: 9)
        world.light.behaviours[dead] = .hang
        let target = DialTarget(
            nodeID: right.nodeID, addresses: [Address.quic(dead.ip, port: dead.port).with(nodeID: right.nodeID)])
        let givenUp = networkTask { try await left.connections.connect(to: target) }
        while world.light.dialled.isEmpty { await Task.yield() }
        givenUp.cancel()
        _ = await givenUp.result
        #expect(try await left.connect(to: right).remoteNodeID == right.nodeID)
    }

    @Test func diallingItselfIsSaid() async throws {
        let left = world.lightNode(port: 1)
        #expect(await code { try await left.connect(to: left) }?.code == .dialledSelf)
    }

    @Test func aStoppedNodeSaysGoodbyeAndTakesNobody() async throws {
        let (left, right) = (world.lightNode(port: 1), world.lightNode(port: 2))
        let session = try await left.connect(to: right)
        right.connections.stop()
        #expect(session.end?.cause == .closedByPeer(.goodbye))
        let late = try await left.connect(to: right)
        #expect(late.end?.cause == .closedByPeer(.goodbye))
    }
}
