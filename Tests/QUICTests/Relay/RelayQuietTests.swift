import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PQUIC

/// What a circuit carries of a connection on which little is said (issue 13).
@Suite(.serialized, .timeLimit(.minutes(1)))
@NetworkActor
struct RelayQuietTests {
    /// The packets of the frames that either side has sent.
    @NetworkActor
    private final class Frames {
        private(set) var fromLeft: [[UInt8]] = []
        private(set) var fromRight: [[UInt8]] = []

        init(_ trio: RelayTrio, on network: SimulatedNetwork) {
            network.filter = { [self] bytes, from, _ in
                guard RelayFrame.isType(bytes[0]) else { return true }
                let packet = Array(bytes.dropFirst(RelayFrame.headerSize))
                if from == trio.leftAddress { fromLeft.append(packet) }
                if from == trio.rightAddress { fromRight.append(packet) }
                return true
            }
        }

        var bytes: Int { (fromLeft + fromRight).reduce(0) { $0 + $1.count + RelayFrame.headerSize } }
        static func initials(_ packets: [[UInt8]]) -> [[UInt8]] { packets.filter { $0[0] & 0xb0 == 0x80 } }
    }

    @Test("a client's Initial packets are not padded there, and a server takes them all the same")
    func initials() async throws {
        let network = SimulatedWorld(seed: 31).network
        try await network.run {
            let trio = try await RelayTrio(network)
            let frames = Frames(trio, on: network)
            let connection = try await trio.dial()
            #expect(try await exchange(connection, [1, 2, 3]) == [1, 2, 3])
            try await network.sleep(for: .seconds(1))
            let initials = Frames.initials(frames.fromLeft)
            #expect(initials.count == 1 && initials.allSatisfy { $0.count <= 352 }, "\(initials.map(\.count))")
            #expect(Frames.initials(frames.fromRight).count == 1)
            #expect(frames.bytes < 2_800, "\(frames.bytes)")
        }
    }

    /// The same datagram from an address of UDP, which could be anybody's, is not answered.
    @Test("outside of circuits an Initial packet without its padding is dropped")
    func outside() async throws {
        let elsewhere = SimulatedWorld(seed: 34).network
        let framed = try await elsewhere.run {
            let trio = try await RelayTrio(elsewhere)
            let frames = Frames(trio, on: elsewhere)
            _ = try await trio.dial()
            return Frames.initials(frames.fromLeft)
        }
        let initial = try #require(framed.first)
        #expect(initial.count > 300 && initial.count <= 352)
        try await withPair { pair, network in
            let answers = Box(0)
            network.filter = { _, from, _ in
                if from == pair.serverAddress { answers.value += 1 }
                return true
            }
            network.send(initial, from: pair.clientAddress, to: pair.serverAddress, ecn: 0)
            try await network.sleep(for: .seconds(1))
            #expect(answers.value == 0 && pair.server.connections.isEmpty)
            // With the zeros that a circuit's other end adds it is.
            let padded = initial + [UInt8](repeating: 0, count: 1_200 - initial.count)
            network.send(padded, from: pair.clientAddress, to: pair.serverAddress, ecn: 0)
            try await network.sleep(for: .seconds(1))
            #expect(answers.value > 0)
        }
    }

    @Test("probes for larger datagrams wait until the circuit has carried much")
    func probes() async throws {
        let network = SimulatedWorld(seed: 32).network
        network.link.mtu = 1_472
        try await network.run {
            let trio = try await RelayTrio(network)
            let frames = Frames(trio, on: network)
            let connection = try await trio.dial()
            #expect(try await exchange(connection, [1, 2, 3]) == [1, 2, 3])
            try await network.sleep(for: .seconds(20))
            #expect((frames.fromLeft + frames.fromRight).allSatisfy { $0.count <= 1_200 })
            #expect(connection.statistics.datagramSize == 1_200)
            #expect(try await exchange(connection, pattern(400_000)) == pattern(400_000))
            #expect(connection.statistics.datagramSize > 1_400)
        }
    }

    /// By default a handshake is repeated after 90 ms.
    @Test("a handshake over a long way is not repeated in vain", arguments: [30, 60, 75])
    func longWay(latency: Int) async throws {
        let network = SimulatedWorld(seed: 33).network
        network.link.latency = .milliseconds(latency)
        try await network.run {
            let trio = try await RelayTrio(network)
            let frames = Frames(trio, on: network)
            let ends = try #require(
                trio.leftLeg.open(trio.circuit.ids.first, roundTrip: .milliseconds(4 * latency)))
            let connection = try await trio.left.connect(
                to: ends.remote, from: ends.local, kind: .relay(trio.relay.nodeID), expecting: trio.right.nodeID)
            #expect(try await exchange(connection, [1, 2, 3]) == [1, 2, 3])
            #expect(Frames.initials(frames.fromLeft).count == 1 && Frames.initials(frames.fromRight).count == 1)
        }
    }
}
