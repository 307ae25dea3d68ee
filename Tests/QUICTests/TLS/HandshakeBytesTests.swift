import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PQUIC

/// What a handshake costs on the wire: it is most of what goes over a relay before a path is direct (issue 13).
@Suite(.serialized, .timeLimit(.minutes(2)))
@NetworkActor
struct HandshakeBytesTests {
    @NetworkActor
    private final class Sent {
        var byClient: [[UInt8]] = []
        var byServer: [[UInt8]] = []

        func note(_ pair: TestPair, losing lost: Set<Int> = []) {
            pair.network.filter = { [self] bytes, from, _ in
                if from == pair.serverAddress { byServer.append(bytes) } else { byClient.append(bytes) }
                return !lost.contains(byServer.count + byClient.count - 1)
            }
        }
    }

    private static func isInitial(_ datagram: [UInt8]) -> Bool { datagram[0] & 0xb0 == 0x80 }
    private static func isHandshake(_ datagram: [UInt8]) -> Bool { datagram[0] & 0xb0 == 0xa0 }

    private static func configuration(retry: Bool) -> EndpointConfiguration {
        var configuration = EndpointConfiguration()
        if retry { configuration.retryThreshold = 0 }
        return configuration
    }

    /// RFC 9000 14.1 has a client's datagram with an Initial packet padded; its Finished needs none in front.
    @Test("a client's Finished goes without an Initial packet, and unpadded", arguments: [false, true])
    func finish(retry: Bool) async throws {
        try await withPair(server: Self.configuration(retry: retry)) { pair, network in
            let sent = Sent()
            sent.note(pair)
            let (client, server) = try await pair.connectBoth()
            #expect(try await exchange(client, pattern(100)) == pattern(100))
            try await network.sleep(for: .seconds(2))
            let initial = sent.byClient.filter(Self.isInitial)
            #expect(initial.count == (retry ? 2 : 1) && initial.allSatisfy { $0.count == 1_200 })
            let finish = try #require(sent.byClient.first(where: Self.isHandshake))
            #expect(finish.count < 900, "\(finish.count)")
            #expect(sent.byServer.filter(Self.isInitial).count == 1, "nothing is sent again for want of an answer")
            #expect(server.statistics.latestRTT > .zero && client.closeReason == nil)
        }
    }

    /// Whatever is lost of the first datagrams is made up for, with two more lost behind it too.
    @Test("a handshake stands any loss", arguments: [false, true])
    func losses(retry: Bool) async throws {
        for first in 0..<7 {
            for second in first..<8 {
                try await withPair(
                    seed: UInt64(first * 8 + second + 1), server: Self.configuration(retry: retry)
                ) { pair, network in
                    let sent = Sent()
                    sent.note(pair, losing: [first, second, second + 1])
                    let (client, server) = try await pair.connectBoth()
                    #expect(try await exchange(client, pattern(5_000)) == pattern(5_000))
                    try await network.sleep(for: .seconds(2))
                    #expect(client.closeReason == nil && server.closeReason == nil && client.isConfirmed)
                }
            }
        }
    }

    /// A server's flight of several datagrams: what a long certificate makes it.
    @Test("the Initial before a flight that comes in pieces is not acknowledged either")
    func pieces() async throws {
        let vector = try #require(try vectorLines("certificates.txt").first { $0[0] == "rsa-4096-tls-key" })
        let credentials = try TLSCredentials(
            certificate: try #require(Hex.decode(vector[3])), secret: try #require(Hex.decode(vector[2])),
            applicationProtocol: "libp2p")
        for lost in [nil, 1, 2, 3] as [Int?] {
            try await withPair { pair, network in
                pair.server.credentials = credentials
                let sent = Sent()
                sent.note(pair, losing: Set([lost].compactMap(\.self)))
                let connection = try await pair.client.connect(to: pair.serverAddress, expecting: nil)
                #expect(try await exchange(connection, pattern(5_000)) == pattern(5_000))
                guard lost == nil else { return }
                #expect(sent.byClient.filter(Self.isInitial).count == 1)
            }
        }
    }
}
