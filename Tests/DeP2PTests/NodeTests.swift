import DeP2PApp
import DeP2PIdentity
import DeP2PReactor
import DeP2PRealm
import DeP2PSessions
import Testing

@testable import DeP2P

/// Two nodes over loopback sockets, as an application has them.
@Suite struct NodeTests {
    private func loopback(_ family: IPAddress = .v4Loopback) -> NodeConfiguration {
        var configuration = NodeConfiguration()
        configuration.listen = [SocketAddress(family, port: 0)]
        return configuration
    }

    @Test(arguments: [IPAddress.v4Loopback, .v6Loopback])
    func threeLinesSendAMessage(over family: IPAddress) async throws {
        let key = RealmKey.generate()
        let right = try await Node.start(loopback(family))
        try await right.join(key)
        try await right.onMessage { message in Array("got ".utf8) + message.body }
        let target = await DialTarget(addresses: right.addresses)

        let node = try await Node.start(loopback(family))
        try await node.join(key)
        let reply = try await node.send("build 512 is green", to: target)

        #expect(reply == Array("got build 512 is green".utf8))
        await node.stop()
        await right.stop()
    }

    @Test func aDefaultNodeListensEverywhereOnOnePort() async throws {
        let node = try await Node.start()
        let bound = await node.localAddresses
        #expect(Set(bound.map(\.port)).count == 1 && bound.allSatisfy { $0.port != 0 && $0.ip.isUnspecified })
        let addresses = await node.addresses
        #expect(!addresses.isEmpty)
        #expect(addresses.allSatisfy { $0.nodeID == node.nodeID })
        let other = try await Node.start()
        for address in addresses {
            do {
                let session = try await other.session(to: DialTarget(addresses: [address]), timeout: .seconds(2))
                #expect(session.remoteNodeID == node.nodeID)
                await session.close(.normal)
            } catch {
                Issue.record("\(error.attempts)")
            }
        }
        await other.stop()
        await node.stop()
    }

    @Test func aTakenPortIsSaid() async throws {
        let node = try await Node.start(loopback())
        var configuration = NodeConfiguration()
        configuration.listen = await node.localAddresses
        await #expect(throws: DeP2PError(.addressInUse, "")) { try await Node.start(configuration) }
        await node.stop()
    }

    @Test func theWrongNodeIsRefusedWithBothNames() async throws {
        let (left, right) = (try await Node.start(loopback()), try await Node.start(loopback()))
        let expected = IdentityKey.generate().nodeID
        let address = try #require(await right.addresses.first).with(nodeID: expected)
        do {
            _ = try await left.session(to: DialTarget(addresses: [address]))
            Issue.record("another node was taken for the one dialled")
        } catch {
            #expect(error.code == .wrongPeer)
            #expect(error.message.contains("\(expected)") && error.message.contains("\(right.nodeID)"))
            #expect(error.attempts.map(\.outcome) == [.wrongPeer])
        }
        await left.stop()
        await right.stop()
    }

    @Test func nobodyThereIsRefused() async throws {
        let left = try await Node.start(loopback())
        let gone = try await Node.start(loopback())
        let addresses = await gone.addresses
        await gone.stop()
        await #expect(throws: DeP2PError(.refused, "")) { try await left.session(to: DialTarget(addresses: addresses)) }
        await left.stop()
    }

    @Test func aWrongRealmKeyAndNoRealmAreRefusedAlike() async throws {
        let left = try await Node.start(loopback())
        try await left.join(.generate())
        let wrong = try await Node.start(loopback())
        try await wrong.join(.generate())
        let none = try await Node.start(loopback())
        for other in [wrong, none] {
            let target = await DialTarget(addresses: other.addresses)
            await #expect(throws: DeP2PError(.realmRefused, "")) { try await left.send("x", to: target) }
        }
        await #expect(throws: DeP2PError(.notMember, "")) {
            try await none.send("x", to: DialTarget(addresses: left.addresses))
        }
        for node in [left, wrong, none] { await node.stop() }
    }

    @Test func pingAndIdentifyWorkWithoutARealm() async throws {
        let (left, right) = (try await Node.start(loopback()), try await Node.start(loopback()))
        let connection = try await left.connect(to: DialTarget(addresses: right.addresses))
        for _ in 0..<10 { #expect(try await connection.ping() > .zero) }
        #expect(try await connection.agent() == "dep2p/0.1.0")
        #expect(try await left.identify(connection.session).record?.nodeID == right.nodeID)
        await left.stop()
        await right.stop()
    }

    @Test func leavingReachesThePeerAndReturningWorks() async throws {
        let key = RealmKey.generate()
        let (left, right) = (try await Node.start(loopback()), try await Node.start(loopback()))
        try await left.join(key)
        try await right.join(key)
        try await right.onMessage { _ in nil }
        let target = await DialTarget(addresses: right.addresses)
        try await left.send("x", to: target)
        let far = try #require(await right.connections.session(with: left.nodeID))
        try await left.leaveRealm()
        #expect(try await far.waitClosed().cause == .closedByPeer(.leftRealm))
        #expect(await right.realm.knownMembers.isEmpty)
        await #expect(throws: DeP2PError(.notMember, "")) { try await left.send("x", to: target) }
        try await left.join(key)
        try await left.send("y", to: target)
        await left.stop()
        await right.stop()
    }

    @Test func stoppingSaysGoodbye() async throws {
        let (left, right) = (try await Node.start(loopback()), try await Node.start(loopback()))
        let session = try await left.session(to: DialTarget(addresses: right.addresses))
        await right.stop()
        #expect(try await session.waitClosed().cause == .closedByPeer(.goodbye))
        await left.stop()
    }
}
