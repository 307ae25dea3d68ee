import DeP2PApp
import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Glibc
import Testing

@testable import DeP2P
@testable import DeP2PReach
@testable import DeP2PSessions

/// Two nodes count what they exchange alike, to the byte.
@Suite(.timeLimit(.minutes(2))) struct NodeBandwidthTests {
    private func node(
        _ realm: RealmKey, _ change: (inout NodeConfiguration) -> Void = { _ in }
    ) async throws -> Node {
        var configuration = NodeConfiguration()
        configuration.listen = [SocketAddress(.v4Loopback, port: 0)]
        change(&configuration)
        let node = try await Node.start(configuration)
        try await node.join(realm)
        return node
    }

    /// Waits for what is under way.
    private func eventually(_ condition: () async -> Bool) async throws {
        while await !condition() { try await Task.sleep(for: .milliseconds(5)) }
    }

    private func mirrored(_ totals: ByteTotals) -> ByteTotals {
        ByteTotals(sent: totals.received, received: totals.sent)
    }

    /// Whether both count the payload of each protocol, in all and with each other, alike.
    private func agree(_ left: Node, _ right: Node) async -> Bool {
        let (near, far) = (await left.bandwidth, await right.bandwidth)
        let names = Set(near.protocols.keys).union(far.protocols.keys)
        return names.allSatisfy { name in
            near.protocols[name]?.bytes.payload == far.protocols[name].map { mirrored($0.bytes.payload) }
        } && near.total.bytes.payload == mirrored(far.total.bytes.payload)
            && near.peers[right.nodeID]?.bytes.payload == far.peers[left.nodeID].map { mirrored($0.bytes.payload) }
    }

    @Test func aFileAndMessagesCountAlikeAtBothEnds() async throws {
        let realm = RealmKey.generate()
        let (left, right) = (try await node(realm), try await node(realm))
        let (source, inbox) = (try TemporaryFolder(), try TemporaryFolder())
        let (path, size) = ("\(source.path)/disk.img", 2_345_678)
        let descriptor = open(path, O_CREAT | O_WRONLY, 0o600)
        _ = SecureRandom.bytes(size).withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        close(descriptor)
        try await right.receive(into: inbox.path, messages: { _ in nil })
        let target = DialTarget(addresses: await right.addresses)
        try await left.send(files: [path], to: target)
        for length in [0, 1, 1_000, 100_000] { try await left.send([UInt8](repeating: 7, count: length), to: target) }

        try await eventually { await agree(left, right) }
        let near = await left.bandwidth
        let transfer = try #require(near.protocols[Transfer.protocolID]?.bytes.payload)
        // The file, its frames and the receipt: in thousandths of it.
        #expect(transfer.sent >= UInt64(size) && transfer.sent < UInt64(size + size / 100))
        let messages = try #require(near.protocols[Messaging.protocolID]?.bytes.payload)
        #expect(messages.sent >= 101_001 && messages.sent < 102_000)
        // Everything that is counted has a protocol, a path and a peer.
        let payload = near.total.bytes.payload
        #expect(near.protocols.values.reduce(.zero) { $0 + $1.bytes.payload } == payload)
        #expect(near.peers == [right.nodeID: near.total])
        #expect(near.paths[.direct]?.bytes == near.total.bytes && near.paths[.relay]?.bytes == .zero)
        #expect(near.lanes[Bandwidth.Lane(path: .direct, family: .v4)] == near.total.bytes.wire)
        #expect(near.total.bytes.wire.sent > payload.sent)
        await left.stop()
        await right.stop()
        #expect(await agree(left, right))
        // The last datagram of each end may meet a closed socket.
        #expect(await left.bandwidth.total.bytes.wire.sent >= right.bandwidth.total.bytes.wire.received)
    }

    @Test func whatARelayCarriesIsCountedAsTheRelayCounts() async throws {
        let realm = RealmKey.generate()
        let relay = try await node(realm) { $0.relay = RelayConfiguration(membersOnly: true) }
        let relays = await relay.addresses
        let right = try await node(realm) { $0.relays = relays }
        #expect(await right.waitForRelay(timeout: .seconds(10)))
        try await right.onMessage { message in message.body }
        let left = try await node(realm) { $0.usesDirect = false }
        let relayed = await right.relayReservations.flatMap(\.addresses)
        let connection = try await left.connect(to: DialTarget(addresses: relayed))
        try await connection.proveMembership()
        try await left.send([UInt8](repeating: 1, count: 50_000), to: DialTarget(addresses: relayed))
        try await eventually {
            let (near, far) = (await left.bandwidth, await right.bandwidth)
            let (there, back) = (near.peers[right.nodeID]?.bytes, far.peers[left.nodeID]?.bytes)
            let carried = await relay.relayStatistics?.forwardedBytes
            return there?.payload == back.map { mirrored($0.payload) } && there?.wire.both == back?.wire.both
                && there?.wire.both == carried
        }
        let near = await left.bandwidth
        #expect(near.paths[.relay]?.bytes == near.peers[right.nodeID]?.bytes)
        #expect(near.paths[.relay]?.bytes.payload.sent ?? 0 > 50_000)
        let statistics = await connection.statistics
        #expect(statistics.traffic[.relay] == near.paths[.relay]?.bytes && statistics.relayedBeforeStraight == nil)
        for node in [left, right, relay] { await node.stop() }
    }

    @Test func whatWentOverARelayBeforeThePathWasDirectIsTold() async throws {
        let realm = RealmKey.generate()
        let relay = try await node(realm) { $0.relay = RelayConfiguration(membersOnly: false) }
        let relays = await relay.addresses
        let right = try await node(realm) { $0.relays = relays }
        #expect(await right.waitForRelay(timeout: .seconds(10)))
        let left = try await node(realm)
        let relayed = await right.relayReservations.flatMap(\.addresses)
        let connection = try await left.connect(to: DialTarget(addresses: relayed))
        try await eventually { await !connection.path.isRelayed }
        let statistics = await connection.statistics
        let before = try #require(statistics.relayedBeforeStraight)
        #expect(before.sent >= 1_200 && before.received >= 1_200)
        #expect(statistics.traffic[.relay]?.wire.both ?? 0 >= before.both)
        let carried = await relay.relayStatistics?.forwardedBytes ?? 0
        #expect(carried >= before.both)
        for node in [left, right, relay] { await node.stop() }
    }
}
