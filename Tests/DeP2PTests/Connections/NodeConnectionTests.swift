import DeP2PApp
import DeP2PIdentity
import DeP2PReactor
import DeP2PSessions
import DeP2PTestSupport
import Testing

@testable import DeP2P

/// Issue 9.7: connections as an application holds them, over loopback sockets.
@Suite struct NodeConnectionTests {
    private func node() async throws -> Node {
        var configuration = NodeConfiguration()
        configuration.listen = [SocketAddress(.v4Loopback, port: 0)]
        configuration.mapsPorts = false
        return try await Node.start(configuration)
    }

    @Test func bothSidesHaveOneAndItsNumberIsThatOfTheEvents() async throws {
        let (left, right) = (try await node(), try await node())
        let events = await left.events(of: .sessions)
        let target = DialTarget(await right.addresses[0])
        let near = try await left.connect(to: target)
        #expect(try await left.connect(to: target).id == near.id && near.isOutgoing)
        #expect(await left.openConnections.map(\.id) == [near.id])
        // Who has answered has it.
        _ = try await near.ping()
        let far = try #require(await right.connection(with: left.nodeID))
        #expect(far.nodeID == left.nodeID && !far.isOutgoing)
        #expect(await far.attempts.isEmpty)
        #expect(await near.attempts.map(\.outcome) == [.connected])
        let counted = await near.statistics
        #expect(counted.bytesSent >= 1_200 && counted.bytesReceived >= 1_200)
        #expect(try #require(counted.roundTrip) >= #require(counted.shortestRoundTrip))
        await near.close()
        _ = try await far.waitUntilClosed()
        #expect(await near.end != nil)
        #expect(await near.statistics.roundTrip == nil)
        #expect(await left.openConnections.isEmpty)
        await left.stop()
        var numbers: Set<UInt64> = []
        for await event in events { if case .session(let subject, _) = event { numbers.insert(subject.id) } }
        #expect(numbers == [near.id])
        await right.stop()
    }

    @Test func membershipIsProvenWhenItIsWanted() async throws {
        let (left, right) = (try await node(), try await node())
        let connection = try await left.connect(to: DialTarget(await right.addresses[0]))
        await #expect(throws: DeP2PError(.notMember, "")) { try await connection.proveMembership() }
        let key = RealmKey.generate()
        try await left.join(key)
        await #expect(throws: DeP2PError(.realmRefused, "")) { try await connection.proveMembership() }
        try await right.join(key)
        try await connection.proveMembership()
        #expect(await connection.isMember)
        // What is done is done.
        try await connection.proveMembership()
        for node in [left, right] { await node.stop() }
    }

    @Test func whoeverWaitsForItsEndCanBeCancelled() async throws {
        let (left, right) = (try await node(), try await node())
        let connection = try await left.connect(to: DialTarget(await right.addresses[0]))
        let waiting = Task { () async throws(DeP2PError) -> SessionEnd in try await connection.waitUntilClosed() }
        waiting.cancel()
        await #expect(throws: DeP2PError(.cancelled, "")) { try await waiting.value }
        for node in [left, right] { await node.stop() }
    }

    @Test func soManyNodesAreProtected() async throws {
        let node = try await node()
        let nodes = (0..<Connections.protectedLimit).map { _ in IdentityKey.generate().nodeID }
        for nodeID in nodes { try await node.protect(nodeID) }
        do {
            try await node.protect(node.nodeID)
            Issue.record("one more than the limit is protected")
        } catch {
            #expect(error.code == .limit && error.message.contains("1024 protected nodes"))
        }
        await node.unprotect(nodes[0])
        try await node.protect(node.nodeID)
        await node.stop()
    }
}
