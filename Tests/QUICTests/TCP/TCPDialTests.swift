import DeP2PIdentity
import DeP2PReactor
import Glibc
import Testing

@testable import DeP2PQUIC

/// Hops that lose long segments without a word.
@NetworkActor
struct NarrowHostsTests {
    private let start = NetworkInstant(nanoseconds: 1)

    private func host(_ number: Int) throws -> IPAddress { try #require(IPAddress("45.0.0.\(number)")) }

    @Test func aHostIsNarrowForAWhile() throws {
        var hosts = NarrowHosts()
        hosts.note(.suspected, of: try host(1), now: start)
        #expect(hosts.finding(of: try host(1), now: start) == .suspected)
        hosts.note(.narrow, of: try host(1), now: start)
        #expect(hosts.finding(of: try host(1), now: start) == .narrow)
        #expect(hosts.finding(of: try host(2), now: start) == nil)
        #expect(hosts.finding(of: try host(1), now: start.advanced(by: NarrowHosts.lifetime(.narrow))) == nil)
        hosts.forget(try host(1))
        #expect(hosts.finding(of: try host(1), now: start) == nil)
    }

    @Test func theOldestGivesWay() throws {
        var hosts = NarrowHosts()
        for number in 0..<NarrowHosts.limit { hosts.note(.narrow, of: try host(number), now: start) }
        // Noted again it is the latest.
        hosts.note(.narrow, of: try host(0), now: start)
        hosts.note(.narrow, of: try host(NarrowHosts.limit), now: start)
        let known = try (0...NarrowHosts.limit).filter { hosts.finding(of: try host($0), now: start) != nil }
        #expect(known == [0] + Array(2...NarrowHosts.limit))
    }
}

/// On loopback, which carries segments of 64 KiB by itself.
@Suite(.timeLimit(.minutes(2)))
@NetworkActor
struct TCPDialTests {
    @Test func segmentsFitIntoEveryLinkOfIPv6() async throws {
        let (relay, client) = (try TCPRelay(), try loopbackEndpoint())
        let hop = try Hop(to: relay.tcpAddress, passes: { _ in true })
        let connection = try await client.connect(tcp: hop.address, expecting: relay.endpoint.nodeID)
        #expect(hop.segments.count == 1 && hop.segments.allSatisfy { (900...1_220).contains($0) })
        connection.close(code: 0)
        close(client, relay, hop)
    }

    @Test func whereTheUsualSegmentsAreLostTheLeastAreTriedAndRemembered() async throws {
        let (relay, client) = (try TCPRelay(), try loopbackEndpoint())
        let hop = try Hop(to: relay.tcpAddress, passes: { $0 <= 600 })
        let connection = try await client.connect(tcp: hop.address, expecting: relay.endpoint.nodeID)
        #expect(hop.segments.count == 2 && hop.segments[0] > 600 && hop.segments[1] <= 536)
        let data = pattern(200_000)
        #expect(try await exchange(connection, data) == data)
        // The one that nothing came over is given up, and the next dial does not begin with another such.
        try await eventually { hop.hasEnded(0) }
        let second = try await client.connect(tcp: hop.address, expecting: relay.endpoint.nodeID)
        #expect(hop.segments.count == 3 && hop.segments[2] <= 536)
        for connection in [connection, second] { connection.close(code: 0) }
        close(client, relay, hop)
    }

    @Test func aDialThatIsCancelledLeavesNothing() async throws {
        let (relay, client) = (try TCPRelay(), try loopbackEndpoint())
        let hop = try Hop(to: relay.tcpAddress, passes: { _ in false })
        let dial = networkTask { try await client.connect(tcp: hop.address, expecting: nil) }
        try await eventually { hop.segments.count == 2 }
        dial.cancel()
        await #expect(throws: QUICError(.cancelled, "")) { try await dial.value }
        try await eventually { hop.hasEnded(0) && hop.hasEnded(1) && client.connections.isEmpty }
        close(client, relay, hop)
    }

    /// Those who look for a way back do not wait as long as the least segments are waited with.
    @Test func aDialAfterOneThatWasGivenUpIsLessPatient() async throws {
        let (relay, client) = (try TCPRelay(), try loopbackEndpoint())
        let hop = try Hop(to: relay.tcpAddress, passes: { $0 <= 600 })
        let target = hop.address
        await #expect(throws: (any Error).self) {
            try await SystemNetworkClock.shared.withDeadline(.seconds(1)) {
                try await client.connect(tcp: target, expecting: nil)
            }
        }
        try await eventually { client.narrowHosts.finding(of: target.ip, now: client.clock.now) == .suspected }
        let connection = try await client.connect(tcp: target, expecting: relay.endpoint.nodeID)
        #expect(hop.segments.count == 3 && hop.segments[1...].contains { $0 <= 536 })
        connection.close(code: 0)
        #expect(client.narrowHosts.finding(of: target.ip, now: client.clock.now) == .narrow)
        close(client, relay, hop)
    }

    private func close(_ client: Endpoint, _ relay: TCPRelay, _ hop: Hop) {
        client.close()
        relay.endpoint.close()
        hop.close()
    }
}

/// Between a client and a relay: hands nothing on from connections whose segments are too large for it.
@NetworkActor
private final class Hop {
    private let acceptor: TCPAcceptor
    private let relay: SocketAddress
    private let passes: (Int32) -> Bool
    private var tasks: [Task<Void, Never>] = []
    private var sockets: [StreamSocket] = []
    private var ended: Set<Int> = []
    /// The largest segments of the connections so far, in order.
    private(set) var segments: [Int32] = []

    var address: SocketAddress { acceptor.address }

    init(to relay: SocketAddress, passes: @escaping (Int32) -> Bool) throws {
        (self.relay, self.passes) = (relay, passes)
        acceptor = try TCPAcceptor(bind: SocketAddress(.v4Loopback, port: 0), clock: SystemNetworkClock.shared)
        acceptor.start { [weak self] descriptor, _ in self?.take(descriptor) }
    }

    /// Whether the client has given that connection up.
    func hasEnded(_ number: Int) -> Bool { ended.contains(number) }

    func close() {
        acceptor.close()
        for task in tasks { task.cancel() }
        for socket in sockets { socket.close() }
    }

    private func take(_ descriptor: Int32) {
        var (size, length) = (Int32(0), socklen_t(MemoryLayout<Int32>.size))
        getsockopt(descriptor, Int32(IPPROTO_TCP), TCP_MAXSEG, &size, &length)
        let number = segments.count
        segments.append(size)
        let client = StreamSocket(descriptor)
        sockets.append(client)
        let isPassed = passes(size)
        run { [self] in
            guard isPassed else {
                while try await client.read(upTo: 65_536) != nil {}
                return _ = ended.insert(number)
            }
            let server = try await StreamSocket.connect(to: relay)
            sockets.append(server)
            run { try await pump(from: server, to: client) }
            try await pump(from: client, to: server)
        }
    }

    /// Ends with the sockets.
    private func run(_ body: @escaping @NetworkActor @Sendable () async throws -> Void) {
        tasks.append(
            networkTask {
                do { try await body() } catch {}
            })
    }
}

@NetworkActor
private func pump(from source: StreamSocket, to target: StreamSocket) async throws {
    while let bytes = try await source.read(upTo: 65_536) { try await target.write(bytes) }
    target.finish()
}
