import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import Glibc
import Testing

@testable import DeP2PQUIC

/// QUIC and circuits inside TLS over TCP, on loopback sockets.
@Suite(.serialized, .timeLimit(.minutes(2)))
@NetworkActor
struct TCPLegTests {
    @Test func aConnectionRunsOverTCP() async throws {
        let relay = try TCPRelay()
        let client = try loopbackEndpoint()
        let connection = try await client.connect(tcp: relay.tcpAddress, expecting: relay.endpoint.nodeID)
        #expect(connection.path.kind == .direct && connection.path.tcpPeer == relay.tcpAddress)
        let data = pattern(3_000_000)
        #expect(try await exchange(connection, data) == data)
        let inbound = try await relay.connection(of: client.nodeID)
        #expect(inbound.path.tcpPeer?.ip == .v4Loopback)
        // Two of these with their headers are one TLS record.
        try await eventually { connection.statistics.datagramSize == 8_181 }
        #expect(relay.listener.connectionCount == 1)
        connection.close(code: 7, reason: "done")
        let reason = try await inbound.waitClosed()
        #expect(reason.code == 7 && reason.reason == "done" && reason.origin == .peer)
        try await eventually { relay.listener.connectionCount == 0 }
        client.close()
        relay.endpoint.close()
    }

    @Test(arguments: [(true, true), (true, false), (false, true)])
    func aCircuitRunsWithEitherSideOnTCP(_ left: Bool, _ right: Bool) async throws {
        let relay = try TCPRelay()
        let pair = try await relay.circuit(leftOverTCP: left, rightOverTCP: right)
        let connection = try await pair.dial()
        #expect(connection.path.kind == .relay(relay.endpoint.nodeID))
        let data = pattern(2_000_000, seed: 3)
        #expect(try await exchange(connection, data) == data)
        #expect(pair.circuit.forwardedBytes > 4_000_000)
        #expect(relay.endpoint.forwarder?.strayDatagrams == 0)
        // The way to the relay says what is sought; loopback carries it beyond.
        try await eventually { connection.statistics.datagramSize == (left ? 8_181 : 1_444) }
        pair.close()
        relay.endpoint.close()
    }

    @Test func theWrongNodeIsRefusedOverTCPToo() async throws {
        let relay = try TCPRelay()
        let client = try loopbackEndpoint()
        let other = IdentityKey.generate().nodeID
        await #expect(throws: QUICError(.wrongPeer, "")) {
            try await client.connect(tcp: relay.tcpAddress, expecting: other)
        }
        try await eventually { client.connections.isEmpty && relay.listener.connectionCount == 0 }
        client.close()
        relay.endpoint.close()
    }

    @Test func nothingListensThere() async throws {
        let listener = try TCPListener(bind: [SocketAddress(.v4Loopback, port: 0)])
        let address = listener.localAddresses[0]
        listener.close()
        let client = try loopbackEndpoint()
        await #expect(throws: QUICError(.refused, "")) { try await client.connect(tcp: address, expecting: nil) }
        client.close()
    }

    @Test func aConnectionEndsWithItsTCPConnection() async throws {
        let relay = try TCPRelay()
        let client = try loopbackEndpoint()
        let connection = try await client.connect(tcp: relay.tcpAddress, expecting: nil)
        let inbound = try await relay.connection(of: client.nodeID)
        relay.listener.close()
        #expect(try await connection.waitClosed().origin == .reset)
        #expect(try await inbound.waitClosed().origin == .reset)
        client.close()
        relay.endpoint.close()
    }

    @Test func whoSpeaksSomethingElseIsDropped() async throws {
        let relay = try TCPRelay()
        var random = SplitMix64(seed: 5)
        for round in 0..<40 {
            let socket = try RawTCP(relay.tcpAddress)
            socket.write(round == 0 ? Array("GET / HTTP/1.1\r\n\r\n".utf8) : pattern(200, seed: random.next()))
            try await eventually { socket.isClosedByPeer }
        }
        #expect(relay.listener.connectionCount == 0)
        relay.endpoint.close()
    }

    @Test func theOldestUnusedConnectionOfASubjectGivesWay() async throws {
        var limits = TCPListener.Limits()
        limits.unusedPerSubject = 3
        let relay = try TCPRelay(limits: limits)
        var silent: [RawTCP] = []
        for number in 1...5 {
            silent.append(try RawTCP(relay.tcpAddress))
            try await eventually { relay.listener.connectionCount + Int(relay.listener.refused) == number }
        }
        #expect(relay.listener.connectionCount == 3 && relay.listener.refused == 2)
        try await eventually { silent[0].isClosedByPeer && silent[1].isClosedByPeer }
        relay.endpoint.close()
    }

    @Test func aFullListenerTakesFromTheUnused() async throws {
        var limits = TCPListener.Limits()
        limits.connections = 2
        let relay = try TCPRelay(limits: limits)
        let silent = try (0..<2).map { _ in try RawTCP(relay.tcpAddress) }
        try await eventually { relay.listener.connectionCount == 2 }
        let client = try loopbackEndpoint()
        var held: [Connection] = []
        for _ in 0..<2 {
            held.append(try await client.connect(tcp: relay.tcpAddress, expecting: relay.endpoint.nodeID))
        }
        try await eventually { silent.allSatisfy(\.isClosedByPeer) }
        // Both are in use: the third finds no room.
        let late = try RawTCP(relay.tcpAddress)
        try await eventually { late.isClosedByPeer }
        #expect(relay.listener.connectionCount == 2 && held.allSatisfy { $0.closeReason == nil })
        client.close()
        relay.endpoint.close()
    }

    /// Without TLS a descriptor stays whose it was, and is closed once: its number may be another file's by then.
    @Test func aDescriptorIsClosedOnceWhenTLSCannotBeMade() async throws {
        let (context, network) = (TLSContext(unusable: .server), SimulatedWorld(seed: 1).network)
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        #expect(throws: QUICError(.internalError, "")) {
            try TCPLeg(accepted: descriptor, peer: host(1), context: context, clock: network)
        }
        #expect(fcntl(descriptor, F_GETFD) >= 0)
        close(descriptor)
        let listener = try TCPListener(bind: [SocketAddress(.v4Loopback, port: 0)], context: context)
        listener.start { _ in }
        let before = openDescriptors()
        let client = try RawTCP(listener.localAddresses[0])
        try await eventually { listener.refused == 1 }
        #expect(openDescriptors() == before + 1)
        withExtendedLifetime(client) {}
        listener.close()
        // A client's own is not left behind.
        let target = try TCPListener(bind: [SocketAddress(.v4Loopback, port: 0)])
        let open = openDescriptors()
        #expect(throws: QUICError(.internalError, "")) {
            try TCPLeg(connectingTo: target.localAddresses[0], context: context, clock: network)
        }
        #expect(openDescriptors() == open)
        target.close()
    }

    private func openDescriptors() -> Int { (0..<1_024).count { fcntl(Int32($0), F_GETFD) >= 0 } }

    @Test func anUnusedConnectionIsClosed() async throws {
        let relay = try TCPRelay()
        let context = try TLSContext.client()
        let network = SimulatedWorld(seed: 1).network
        let leg = try TCPLeg(
            connectingTo: relay.tcpAddress, context: context, clock: network)
        leg.start(relay.endpoint)
        try await leg.waitOpen()
        #expect(leg.state == .open)
        try await network.run { try await network.sleep(for: TCPLeg.unusedTime + .seconds(1)) }
        #expect(leg.state == .closed)
        relay.endpoint.close()
    }

    @Test func aSilentHandshakeIsEnded() async throws {
        let relay = try TCPRelay()
        let silent = try TCPListener(bind: [SocketAddress(.v4Loopback, port: 0)])
        let network = SimulatedWorld(seed: 1).network
        let context = try TLSContext.client()
        // The kernel completes the TCP handshake; nobody ever accepts.
        let leg = try TCPLeg(connectingTo: silent.localAddresses[0], context: context, clock: network)
        leg.start(relay.endpoint)
        try await network.run { try await network.sleep(for: TCPLeg.handshakeDeadline + .seconds(1)) }
        await #expect(throws: QUICError(.timeout, "")) { try await leg.waitOpen() }
        silent.close()
        relay.endpoint.close()
    }

    @Test func nothingIsSentToFakeAddresses() async throws {
        let endpoint = try loopbackEndpoint()
        let fake = FakeAddress.make()
        let bytes: [UInt8] = [1, 2, 3]
        bytes.withUnsafeBytes { bytes in
            endpoint.send(PacketBurst(bytes: bytes, segment: 3, local: fake, remote: fake, ecn: 0))
        }
        #expect(endpoint.canSend && FakeAddress.contains(fake.ip))
        endpoint.close()
    }
}

/// A TCP connection that speaks no TLS.
private final class RawTCP {
    private let descriptor: Int32

    init(_ address: SocketAddress) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var raw = sockaddr_in()
        raw.sin_family = sa_family_t(AF_INET)
        raw.sin_port = address.port.bigEndian
        raw.sin_addr.s_addr = UInt32(truncatingIfNeeded: address.ip.low).bigEndian
        let status = withUnsafePointer(to: &raw) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        try #require(descriptor >= 0 && status == 0)
    }

    deinit { close(descriptor) }

    func write(_ bytes: [UInt8]) { _ = send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) }

    /// Reads away what came, an alert perhaps.
    var isClosedByPeer: Bool {
        var scrap = [UInt8](repeating: 0, count: 256)
        let count = recv(descriptor, &scrap, scrap.count, Int32(MSG_DONTWAIT))
        return count == 0 || (count < 0 && errno == ECONNRESET)
    }
}
