import DeP2PApp
import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PSimulation
import DeP2PStorage
import DeP2PTestSupport
import Glibc
import Testing

@testable import DeP2P
@testable import DeP2PReach
@testable import DeP2PSessions

/// A relay and its clients as applications have them, over loopback sockets.
@Suite struct NodeRelayTests {
    private func loopback(_ change: (inout NodeConfiguration) -> Void = { _ in }) -> NodeConfiguration {
        var configuration = NodeConfiguration()
        configuration.listen = [SocketAddress(.v4Loopback, port: 0)]
        change(&configuration)
        return configuration
    }

    @Test func aMessageGoesThroughTheRelay() async throws {
        let key = RealmKey.generate()
        let relay = try await Node.start(loopback { $0.relay = RelayConfiguration(membersOnly: true) })
        try await relay.join(key)
        let relays = await relay.addresses
        let right = try await Node.start(loopback { $0.relays = relays })
        try await right.join(key)
        try await right.onMessage { message in Array("got ".utf8) + message.body }
        #expect(await right.waitForRelay(timeout: .seconds(10)))
        let addresses = await right.addresses
        #expect(addresses.count == 2 && addresses.last?.isRelayed == true)
        let left = try await Node.start(loopback { $0.usesDirect = false })
        try await left.join(key)
        let session = try await left.connectMember(DialTarget(addresses: addresses))
        #expect(await session.path.kind == .relay(relay.nodeID))
        let reply = try await left.send(Array("hello".utf8), on: session)
        #expect(reply == Array("got hello".utf8))
        #expect(await relay.relayService?.statistics.forwardedBytes ?? 0 > 2_000)
        let clock = ContinuousClock()
        let start = clock.now
        await left.stop()
        await right.stop()
        await relay.stop()
        #expect(clock.now - start < Node.defaultGrace)
    }

    @Test func aNodeIDIsEnoughWithTheSameRelay() async throws {
        let relay = try await Node.start(loopback { $0.relay = RelayConfiguration(membersOnly: false) })
        let relays = await relay.addresses
        let right = try await Node.start(loopback { $0.relays = relays })
        #expect(await right.waitForRelay(timeout: .seconds(10)))
        let left = try await Node.start(
            loopback {
                $0.relays = relays
                $0.reserves = false
                $0.usesDirect = false
            })
        let session = try await left.session(to: DialTarget(nodeID: right.nodeID, addresses: []))
        #expect(await session.path.kind == .relay(relay.nodeID))
        #expect(await left.relayReservations.isEmpty)
        for node in [left, right, relay] { await node.stop() }
    }

    @Test func aRelayedConnectionGoesOnDirectly() async throws {
        let relay = try await Node.start(loopback { $0.relay = RelayConfiguration(membersOnly: false) })
        let relays = await relay.addresses
        let right = try await Node.start(loopback { $0.relays = relays })
        #expect(await right.waitForRelay(timeout: .seconds(10)))
        let left = try await Node.start(loopback())
        let relayed = await right.relayReservations.flatMap(\.addresses)
        let (near, far) = await (left.events(of: .sessions), right.events(of: .sessions))
        let session = try await left.session(to: DialTarget(addresses: relayed))
        let paths = try await left.clock.withDeadline(.seconds(20)) {
            [await firstMove(near)?.kind, await firstMove(far)?.kind]
        }
        #expect(paths == [.direct, .direct])
        let bound = await right.localAddresses.first
        #expect(await session.path.remote == bound)
        for node in [left, right, relay] { await node.stop() }
    }

    private func firstMove(_ events: NodeEvents) async -> ConnectionPath? {
        for await event in events {
            if case .session(_, .moved(let path)) = event { return path }
        }
        return nil
    }

    @Test func aStoppingRelayIsGoneAtOnce() async throws {
        let relay = try await Node.start(loopback { $0.relay = RelayConfiguration(membersOnly: false) })
        let relays = await relay.addresses
        let right = try await Node.start(loopback { $0.relays = relays })
        #expect(await right.waitForRelay(timeout: .seconds(10)))
        let left = try await Node.start(
            loopback {
                $0.relays = relays
                $0.usesDirect = false
            })
        let session = try await left.session(to: DialTarget(nodeID: right.nodeID, addresses: []))
        await relay.stop()
        let end = try await session.waitClosed()
        #expect(end.reason == "the relay is stopping")
        for node in [left, right] { await node.stop() }
    }

    @Test func whereUDPIsDeadTheRelayIsReachedOverTCP() async throws {
        let relay = try await Node.start(
            loopback {
                $0.relay = RelayConfiguration(membersOnly: false)
                $0.tcpListen = [SocketAddress(.v4Loopback, port: 0)]
            })
        let overTCP = try #require(await relay.addresses.last)
        #expect("\(overTCP)".contains("/tls/p2p/"))
        // Nothing answers there, and nothing says so: as where UDP is blocked.
        let silent = try silentSocket()
        let dead = Address.quic(.v4Loopback, port: silent.port, nodeID: relay.nodeID)
        let right = try await Node.start(loopback { $0.relays = [dead, overTCP] })
        #expect(await right.waitForRelay(timeout: .seconds(10)))
        #expect(await right.relayReservations.map(\.addresses.count) == [2])
        let left = try await Node.start(
            loopback {
                $0.relays = [dead, overTCP]
                $0.reserves = false
            })
        let session = try await left.session(to: DialTarget(nodeID: right.nodeID, addresses: []))
        #expect(await session.path.kind == .relay(relay.nodeID))
        let attempts = await session.attempts
        #expect(attempts.allSatisfy { $0.stage == .relay } && attempts.contains { $0.detail.hasPrefix("UDP blocked") })
        #expect(attempts.last?.outcome == .connected && attempts.last?.address.contains("/tcp/") == true)
        for node in [left, right, relay] { await node.stop() }
        close(silent.descriptor)
    }

    @Test func aRelayTellsItsAddressForTCP() async throws {
        let relay = try await Node.start(
            loopback {
                $0.relay = RelayConfiguration(membersOnly: false)
                $0.tcpListen = [SocketAddress(.v4Loopback, port: 0)]
            })
        let overUDP = try #require(await relay.addresses.first)
        let right = try await Node.start(loopback { $0.relays = [overUDP] })
        #expect(await right.waitForRelay(timeout: .seconds(10)))
        try await eventually { await right.relayReservations.first?.addresses.count == 2 }
        let expected = try #require(await relay.addresses.last)
        #expect(await right.addresses.last?.relay?.address == expected)
        for node in [right, relay] { await node.stop() }
    }

    @Test func aReservationMovesBackToUDPWhenItWorksAgain() async throws {
        let relay = try await Node.start(
            loopback {
                $0.relay = RelayConfiguration(membersOnly: false)
                $0.tcpListen = [SocketAddress(.v4Loopback, port: 0)]
            })
        let relays = await relay.addresses
        let temporary = try TemporaryFolder()
        defer { withExtendedLifetime(temporary) {} }
        let folder = "\(temporary.path)/state"
        // As an earlier run has left it: the next look at UDP is due in a moment.
        let due = WallClock.milliseconds() + 1_500
        let (blocked, network) = (UDPMemory.table, Array(NetworkFingerprint.current().utf8))
        SQLiteStorage(folder: folder).update(network, in: blocked) { _ in
            Entry(BlockedNetwork(failures: 3, probeAt: due), stamp: 1)
        }
        let right = try await Node.start(
            loopback {
                $0.relays = relays
                $0.stateDirectory = folder
            })
        #expect(await right.waitForRelay(timeout: .seconds(10)))
        let first = try #require(await right.connections.session(with: relay.nodeID))
        #expect(await first.path.tcpPeer != nil)
        #expect(await first.attempts.count == 1)
        try await eventually { await right.connections.session(with: relay.nodeID)?.path.tcpPeer == nil }
        #expect(await right.relayReservations.count == 1)
        _ = try await first.waitClosed()
        #expect(await right.relayReservations.count == 1)
        let left = try await Node.start(loopback { $0.usesDirect = false })
        let session = try await left.session(to: DialTarget(addresses: right.addresses))
        #expect(await session.path.kind == .relay(relay.nodeID))
        for node in [left, right, relay] { await node.stop() }
        #expect(SQLiteStorage(folder: folder).entries(in: blocked).isEmpty)
    }

    @Test func aPeersRelaysAreLearnedAndTheirChangesPushed() async throws {
        let first = try await Node.start(loopback { $0.relay = RelayConfiguration(membersOnly: false) })
        let second = try await Node.start(loopback { $0.relay = RelayConfiguration(membersOnly: false) })
        let firstAddress = try #require(await first.addresses.first)
        let secondAddress = try #require(await second.addresses.first)
        let right = try await Node.start(loopback { $0.relays = [firstAddress] })
        #expect(await right.waitForRelay(timeout: .seconds(10)))
        let left = try await Node.start(loopback())
        let session = try await left.session(to: DialTarget(addresses: [right.addresses[0]]))
        #expect(await session.path.kind == .direct)
        try await eventually { await left.relays(of: right.nodeID) == [firstAddress] }
        await right.relays.use(secondAddress)
        try await eventually { await left.relays(of: right.nodeID) == [firstAddress, secondAddress] }
        await first.stop()
        try await eventually { await left.relays(of: right.nodeID) == [secondAddress] }
        // The way through the relay is known when the direct one is gone: so nobody looks for more than what is given.
        await session.close(.normal)
        let known = await left.connections.peers.book.listed(of: right.nodeID).filter(\.isRelayed)
        let again = try await left.connections.connect(to: DialTarget(addresses: known))
        #expect(await again.path.kind == .relay(second.nodeID))
        for node in [left, right, second] { await node.stop() }
    }

    private func eventually(_ condition: () async -> Bool) async throws {
        while await !condition() { try await Task.sleep(for: .milliseconds(5)) }
    }

    /// A bound UDP socket that nobody reads.
    private func silentSocket() throws -> (descriptor: Int32, port: UInt16) {
        let descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) | getsockname(descriptor, $0, &length)
            }
        }
        try #require(descriptor >= 0 && status == 0)
        return (descriptor, UInt16(bigEndian: address.sin_port))
    }

    @Test func everyNodeAnswersSTUN() async throws {
        let node = try await Node.start(loopback())
        let target = try #require(await node.localAddresses.first)
        let answer = try await ask(target)
        #expect(answer.prefix(2) == [0x01, 0x01])
        await node.stop()
    }

    /// A STUN Binding request (RFC 8489) and what comes back.
    @NetworkActor
    private func ask(_ target: SocketAddress) async throws -> [UInt8] {
        let socket = try DatagramSocket(.v4)
        defer { socket.close() }
        let answer = Waiter<[UInt8]>()
        socket.onDatagram = { answer.resume(returning: $0.bytes) }
        socket.send([0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42] + (0..<12).map { UInt8($0) }, to: target)
        return try await SystemNetworkClock.shared.withDeadline(.seconds(5)) { try await answer.value() }
    }
}
