import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PQUIC

/// What a server says in its first flight.
@Suite(.serialized, .timeLimit(.minutes(2)))
@NetworkActor
struct GreetingTests {
    private static let label = "EXPORTER-test"

    /// Says the exporter's value itself.
    private func greet(_ endpoint: Endpoint) {
        endpoint.greeting = Greeting(exporterLabel: Self.label, exporterLength: Greeting.length) { $0 }
    }

    @Test("it is there when the handshake is, of the same session at both ends, and costs no datagram")
    func isInTheFirstFlight() async throws {
        var bytes: [Int] = []
        for greets in [false, true] {
            try await withPair { pair, network in
                if greets { greet(pair.server) }
                var sent: [[UInt8]] = []
                network.filter = { datagram, from, _ in
                    if from == pair.serverAddress { sent.append(datagram) }
                    return true
                }
                let start = network.now
                let (client, server) = try await pair.connectBoth()
                let exporter = try server.exportKeyingMaterial(label: Self.label, count: Greeting.length)
                #expect(client.takeGreeting() == (greets ? exporter : nil) && server.hasGreeted == greets)
                #expect(client.takeGreeting() == nil, "once")
                #expect(sent.first?.count == 1_200)
                try await network.sleep(for: .seconds(1))
                #expect(client.statistics.openStreams == 0 && server.statistics.openStreams == 0)
                #expect(network.now.duration(since: start) < .seconds(2))
                bytes.append(sent.map(\.count).reduce(0, +))
            }
        }
        #expect(bytes[1] <= bytes[0] + 16, "\(bytes)")
    }

    /// A greeting comes whole or is not taken, whatever is lost or comes in another order; the handshake stands any of it.
    @Test func standsLossAndReordering() async throws {
        for seed in 1...40 as ClosedRange<UInt64> {
            try await withPair(seed: seed) { pair, network in
                greet(pair.server)
                network.link.loss = 0.2
                network.link.reordering = 0.3
                network.link.duplication = 0.2
                let (client, server) = try await pair.connectBoth()
                let exporter = try server.exportKeyingMaterial(label: Self.label, count: Greeting.length)
                let first = client.takeGreeting()
                #expect(first == nil || first == exporter)
                #expect(try await exchange(client, pattern(5_000)) == pattern(5_000))
                network.link.loss = 0
                try await network.sleep(for: .seconds(3))
                #expect(first != nil || client.takeGreeting() == exporter)
                #expect(client.closeReason == nil && server.closeReason == nil)
            }
        }
    }

    /// What a client grants for it is one stream of so many bytes: the second stream, and a byte more, end the connection.
    @Test(arguments: [false, true])
    func nothingElseGoesThatWay(second: Bool) async throws {
        try await withPair { pair, network in
            greet(pair.server)
            let (client, server) = try await pair.connectBoth()
            if second {
                #expect(server.openUnidirectionalStream() == nil, "the client grants one")
            } else {
                #expect(client.openUnidirectionalStream() == nil, "a server grants none")
            }
            #expect(client.closeReason == nil && server.closeReason == nil)
        }
    }
}
