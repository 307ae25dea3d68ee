import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PQUIC

/// Bad networks, on virtual time.
@Suite(.serialized, .timeLimit(.minutes(1)))
@NetworkActor
struct NetworkConditionTests {
    @Test func anHourWithLossReorderingAndDuplication() async throws {
        try await withPair(seed: 21) { pair, network in
            network.link.loss = 0.05
            network.link.reordering = 0.05
            network.link.duplication = 0.02
            network.link.jitter = .milliseconds(10)
            let (client, server) = try await pair.connectBoth()
            let end = network.now.advanced(by: .seconds(3_600))
            var round: UInt64 = 0
            while network.now < end {
                let data = pattern(Int(round % 10) * 700 + 1, seed: round)
                let reply = try await exchange(client, data)
                guard reply == data else {
                    Issue.record("round \(round) came back changed")
                    return
                }
                round += 1
                try await network.sleep(for: .seconds(15))
            }
            #expect(client.closeReason == nil && server.closeReason == nil)
            #expect(client.streams.isEmpty && network.lost > 100)
        }
    }

    @Test(arguments: [1_252, 1_280, 1_400, 1_472])
    func findsThePathsDatagramSize(_ mtu: Int) async throws {
        try await withPair { pair, network in
            network.link.mtu = mtu
            let connection = try await pair.connect()
            let data = pattern(500_000)
            #expect(try await exchange(connection, data) == data)
            try await network.sleep(for: .seconds(10))
            let found = connection.statistics.datagramSize
            #expect(found >= 1_200 && found <= mtu)
            if mtu == 1_472 { #expect(found >= 1_444) }
        }
    }

    /// Nobody says that the datagrams are too large: what is on the way is repeated in smaller ones.
    @Test(arguments: [1_200, 1_232, 1_300])
    func survivesAPathThatShrinks(_ mtu: Int) async throws {
        try await withPair { pair, network in
            let connection = try await pair.connect()
            #expect(try await exchange(connection, pattern(200_000)) == pattern(200_000))
            try await network.sleep(for: .seconds(10))
            #expect(connection.statistics.datagramSize > 1_300)
            network.link.mtu = mtu
            let shrunk = network.now
            #expect(try await exchange(connection, pattern(2_000_000)) == pattern(2_000_000))
            #expect(network.now.duration(since: shrunk) < .seconds(5))
            // Larger ones are tried again some time, and given up again.
            try await network.sleep(for: .seconds(12))
            let again = network.now
            #expect(try await exchange(connection, pattern(2_000_000)) == pattern(2_000_000))
            #expect(network.now.duration(since: again) < .seconds(5))
        }
    }

    @Test(arguments: [EndpointConfiguration.CongestionControl.cubic, .bbr])
    func fillsALimitedLink(_ control: EndpointConfiguration.CongestionControl) async throws {
        var configuration = EndpointConfiguration()
        configuration.congestionControl = control
        try await withPair(server: configuration, client: configuration) { pair, network in
            network.link.bandwidth = 20_000_000
            network.link.jitter = .milliseconds(1)
            let (client, server) = try await pair.connectBoth()
            let received = Box(0)
            let done = Waiter<Void>()
            server.onStream = { stream in
                networkTask {
                    while let chunk = try await stream.read() { received.value += chunk.count }
                    done.resume(returning: ())
                }
            }
            let start = network.now
            let stream = try await client.openStream()
            let chunk = Chunk(pattern(100_000))
            for _ in 0..<50 { try await stream.write(chunk) }
            stream.finish()
            try await done.value()
            #expect(received.value == 5_000_000)
            // 2 s at the link's rate.
            let elapsed = network.now.duration(since: start)
            #expect(elapsed > .seconds(2) && elapsed < .seconds(8), "\(control): \(elapsed)")
        }
    }

    /// Whoever protects the packets of either side.
    @Test(
        arguments: [EndpointConfiguration.PacketKeys.fastest, .gnuTLS],
        [EndpointConfiguration.PacketKeys.fastest, .gnuTLS])
    func updatesKeysDuringATransfer(
        atServer: EndpointConfiguration.PacketKeys, atClient: EndpointConfiguration.PacketKeys
    ) async throws {
        var (one, other) = (EndpointConfiguration(), EndpointConfiguration())
        (one.packetKeys, other.packetKeys) = (atServer, atClient)
        try await withPair(server: one, client: other) { pair, network in
            let (client, server) = try await pair.connectBoth()
            let transfer = networkTask { try await exchange(client, pattern(1_500_000)) }
            #expect(!client.updateKeys(), "the handshake is not confirmed yet")
            var updates = [0, 0]
            for round in 0..<6 {
                try await network.sleep(for: .milliseconds(150))
                if (round % 2 == 0 ? client : server).updateKeys() { updates[round % 2] += 1 }
            }
            #expect(updates.allSatisfy { $0 > 0 }, "\(updates)")
            #expect(try await transfer.value == pattern(1_500_000))
            #expect(client.closeReason == nil && server.closeReason == nil)
        }
    }

    @Test func outagesShorterThanTheIdleTimeoutAreSurvived() async throws {
        try await withPair { pair, network in
            let connection = try await pair.connect()
            let transfer = networkTask { try await exchange(connection, pattern(300_000)) }
            for _ in 0..<3 {
                try await network.sleep(for: .milliseconds(60))
                network.filter = { _, _, _ in false }
                try await network.sleep(for: .seconds(4))
                network.filter = nil
                try await network.sleep(for: .seconds(6))
            }
            #expect(try await transfer.value == pattern(300_000))
        }
    }

    @Test func replaysFromTheSeed() async throws {
        // Handshake bytes carry real randomness; what the network does to each datagram does not.
        func losses(_ seed: UInt64) async throws -> [Bool] {
            let network = SimulatedWorld(seed: seed).network
            network.link.loss = 0.3
            var result: [Bool] = []
            for _ in 0..<200 {
                let before = network.lost
                network.send([1], from: host(1), to: host(2), ecn: 0)
                result.append(network.lost > before)
            }
            return result
        }
        let (first, again, other) = (try await losses(1), try await losses(1), try await losses(2))
        #expect(first == again && first != other)
    }
}
