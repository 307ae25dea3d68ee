import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PQUIC

/// Hostile datagrams: whatever arrives, an endpoint goes on serving others. ngtcp2 has its assertions compiled in, so
/// a reachable one would end this process.
@Suite(.serialized, .timeLimit(.minutes(1)))
@NetworkActor
struct FuzzTests {
    private func mutate(_ bytes: [UInt8], _ random: inout SplitMix64) -> [UInt8] {
        var bytes = bytes
        switch random.next() % 6 {
        case 0: bytes = Array(bytes.prefix(Int(random.next() % UInt64(bytes.count + 1))))
        case 1: bytes += pattern(Int(random.next() % 200), seed: random.next())
        case 2:
            let start = Int(random.next() % UInt64(max(bytes.count, 1)))
            for index in start..<min(start + 8, bytes.count) { bytes[index] = UInt8(truncatingIfNeeded: random.next()) }
        case 3: bytes = bytes + bytes
        default:
            guard !bytes.isEmpty else { return bytes }
            for _ in 0...(random.next() % 4) {
                // The header is where most is decided.
                let limit = random.next() % 2 == 0 ? min(bytes.count, 60) : bytes.count
                bytes[Int(random.next() % UInt64(limit))] ^= 1 << UInt8(random.next() % 8)
            }
        }
        return bytes
    }

    private func inject(_ bytes: [UInt8], into endpoint: Endpoint, at local: SocketAddress, from remote: SocketAddress)
    {
        var bytes = bytes
        bytes.withUnsafeMutableBytes { endpoint.receive($0, local: local, remote: remote, ecn: 0) }
    }

    private func stillServes(_ pair: TestPair) async throws {
        pair.network.filter = nil
        try await pair.network.sleep(for: .seconds(30))
        let client = try pair.makeClient(99)
        defer { client.close() }
        let connection = try await client.connect(to: pair.serverAddress, expecting: pair.server.nodeID)
        let reply = try await exchange(connection, pattern(20_000))
        #expect(reply == pattern(20_000))
        #expect(pair.server.handshakes.isEmpty)
    }

    @Test func randomDatagrams() async throws {
        try await withPair { pair, network in
            var random = SplitMix64(seed: 1)
            for round in 0..<4_000 {
                var bytes = pattern(Int(random.next() % 1_500), seed: random.next())
                if !bytes.isEmpty, round % 2 == 0 {
                    bytes[0] = 0xc0 | (bytes[0] & 0x3f)
                    if bytes.count > 30 { bytes.replaceSubrange(1..<6, with: [0, 0, 0, 1, UInt8(random.next() % 24)]) }
                }
                let remote = host(100 + UInt32(random.next() % 50), port: UInt16(random.next() & 0xffff))
                inject(bytes, into: pair.server, at: pair.serverAddress, from: remote)
                if round % 500 == 0 { try await network.sleep(for: .seconds(1)) }
            }
            try await stillServes(pair)
        }
    }

    /// Records whole conversations and plays them back damaged, to both sides.
    @Test(arguments: [UInt64(1), 2, 3])
    func damagedConversations(_ seed: UInt64) async throws {
        try await withPair(seed: seed) { pair, network in
            let recorded = Box<[(bytes: [UInt8], toServer: Bool)]>([])
            network.filter = { bytes, _, to in
                recorded.value.append((bytes, to == pair.serverAddress))
                return true
            }
            let (connection, _) = try await pair.connectBoth()
            _ = try await exchange(connection, pattern(5_000))
            var random = SplitMix64(seed: seed)
            for round in 0..<1_500 {
                let item = recorded.value[Int(random.next() % UInt64(min(recorded.value.count, 60)))]
                let bytes = mutate(item.bytes, &random)
                let stranger = host(100 + UInt32(random.next() % 20))
                if item.toServer {
                    let remote = random.next() % 2 == 0 ? pair.clientAddress : stranger
                    inject(bytes, into: pair.server, at: pair.serverAddress, from: remote)
                } else {
                    inject(bytes, into: pair.client, at: pair.clientAddress, from: pair.serverAddress)
                }
                if round % 100 == 0 { try await network.sleep(for: .milliseconds(300)) }
            }
            // Nobody without the keys can end the connection.
            #expect(connection.closeReason == nil)
            network.filter = nil
            let reply = try await exchange(connection, pattern(5_000))
            #expect(reply == pattern(5_000))
            try await stillServes(pair)
        }
    }

    /// Damages datagrams of live handshakes in flight: each dial succeeds or fails with an error, in bounded time.
    @Test(arguments: [UInt64(4), 5, 6, 7])
    func damagedHandshakes(_ seed: UInt64) async throws {
        try await withPair(seed: seed) { pair, network in
            var random = SplitMix64(seed: seed)
            let chance = Box(SplitMix64(seed: seed &+ 100))
            network.filter = { bytes, from, to in
                guard chance.value.next() % 3 == 0 else { return true }
                let damaged = mutate(bytes, &chance.value)
                _ = network.schedule(after: .milliseconds(20)) {
                    if to == pair.serverAddress {
                        inject(damaged, into: pair.server, at: to, from: from)
                    } else {
                        inject(damaged, into: pair.client, at: to, from: from)
                    }
                }
                return false
            }
            for _ in 0..<25 {
                let start = network.now
                let error = await failure {
                    let connection = try await pair.connect()
                    connection.close(code: random.next() % 100)
                }
                #expect(error == nil || error is QUICError)
                #expect(network.now.duration(since: start) < .seconds(15))
            }
            try await stillServes(pair)
            #expect(pair.client.connections.isEmpty)
        }
    }
}
