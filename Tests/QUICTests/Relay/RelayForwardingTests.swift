import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Glibc
import Testing

@testable import DeP2PQUIC

/// Two clients and a relay: frames between them on a simulated network.
@Suite(.serialized, .timeLimit(.minutes(2)))
@NetworkActor
struct RelayForwardingTests {
    @Test func aConnectionRunsThroughTheRelay() async throws {
        let network = SimulatedWorld(seed: 11).network
        try await network.run {
            let trio = try await RelayTrio(network)
            let connection = try await trio.dial()
            #expect(connection.remoteNodeID == trio.right.nodeID)
            #expect(connection.path.kind == .relay(trio.relay.nodeID))
            #expect(try await trio.inbound.value().path.kind == .relay(trio.relay.nodeID))
            let data = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
            #expect(try await exchange(connection, data) == data)
            #expect(trio.circuit.forwardedBytes > 600_000)
        }
    }

    @Test func aFullSizePathCarriesTheFrames() async throws {
        let network = SimulatedWorld(seed: 12).network
        network.link.mtu = 1_472
        try await network.run {
            let trio = try await RelayTrio(network)
            let connection = try await trio.dial()
            _ = try await exchange(connection, [UInt8](repeating: 7, count: 400_000))
            #expect((1_401...1_472 - RelayFrame.headerSize).contains(connection.statistics.datagramSize))
        }
    }

    @Test func aTamperingRelayHarmsNothingButSpeed() async throws {
        let network = SimulatedWorld(seed: 13).network
        try await network.run {
            let trio = try await RelayTrio(network)
            var count = 0
            let data =
                Array("a very recognisable plaintext ".utf8) + (0..<200_000).map { UInt8(truncatingIfNeeded: $0) }
            var sawPlaintext = false
            network.tamper = { bytes, from, _ in
                guard from == trio.relayAddress, RelayFrame.isType(bytes[0]), bytes.count > 40 else { return }
                sawPlaintext = sawPlaintext || bytes.contains(data[0..<20])
                count += 1
                if count % 9 == 0 { bytes[20 + count % 20] ^= 0x40 }
            }
            let connection = try await trio.dial()
            #expect(try await exchange(connection, data) == data)
            #expect(count > 100 && !sawPlaintext)
        }
    }

    @Test func framesFromElsewhereAreDropped() async throws {
        let network = SimulatedWorld(seed: 14).network
        try await network.run {
            let trio = try await RelayTrio(network)
            _ = try await trio.dial()
            // Once path MTU discovery is over, only keep-alives pass.
            try await network.sleep(for: .seconds(20))
            let before = trio.circuit.forwardedBytes
            let stranger = network.makeDriver(address: SocketAddress(IPAddress(v4: 0x0a00_0063), port: 9))
            var frame = [UInt8](repeating: 0, count: 1_200)
            frame.withUnsafeMutableBytes { RelayFrame.write(circuit: trio.circuit.ids.first, epoch: 0, at: 0, of: $0) }
            frame.withUnsafeBytes { bytes in
                let burst = PacketBurst(
                    bytes: bytes, segment: bytes.count, local: stranger.address, remote: trio.relayAddress, ecn: 0)
                #expect(stranger.send(burst) == .sent)
            }
            try await network.sleep(for: .milliseconds(200))
            #expect(trio.forwarder.strayDatagrams == 1)
            #expect(trio.circuit.forwardedBytes < before + 1_200)
        }
    }

    /// A side writes from a victim's address, which ngtcp2 takes for its new one until the validation fails.
    @Test func nothingGoesToAnAddressBeforeItIsValidated() async throws {
        let network = SimulatedWorld(seed: 20).network
        try await network.run {
            let trio = try await RelayTrio(network)
            let connection = try await trio.dial()
            _ = try await exchange(connection, Array("before".utf8))
            try await network.sleep(for: .seconds(1))
            let victim = network.makeDriver(address: SocketAddress(IPAddress(v4: 0x0a00_0063), port: 9))
            var (spoofed, reflected) = (0, 0)
            network.filter = { bytes, from, to in
                if to == victim.address { reflected += bytes.count }
                guard from == trio.leftAddress, to == trio.relayAddress, !RelayFrame.isType(bytes[0]), spoofed < 5_000
                else { return true }
                spoofed += bytes.count
                bytes.withUnsafeBytes { raw in
                    let burst = PacketBurst(
                        bytes: raw, segment: raw.count, local: victim.address, remote: trio.relayAddress, ecn: 0)
                    _ = victim.send(burst)
                }
                return false
            }
            // Data from the other side fills the circuit meanwhile.
            let data = [UInt8](repeating: 3, count: 1_000_000)
            trio.leftLeg.connection.nudge()
            #expect(try await exchange(connection, data) == data)
            #expect(spoofed > 0 && reflected <= 3 * spoofed, "\(spoofed) moved \(reflected)")
        }
    }

    @Test func theByteLimitEndsACircuitOnce() async throws {
        let network = SimulatedWorld(seed: 15).network
        try await network.run {
            let trio = try await RelayTrio(network, limits: RelayCircuit.Limits(bytes: 100_000))
            let connection = try await trio.dial()
            let exhausted = Waiter<Void>()
            trio.circuit.onExhausted = { exhausted.resume(returning: ()) }
            let sender = networkTask {
                _ = try await exchange(connection, [UInt8](repeating: 1, count: 200_000))
            }
            try await exhausted.value()
            #expect(trio.circuit.forwardedBytes <= 100_000 && trio.circuit.forwardedBytes > 95_000)
            sender.cancel()
            connection.close(code: 0)
        }
    }

    @Test func aRateDropsWhatExceedsIt() async throws {
        let network = SimulatedWorld(seed: 16).network
        try await network.run {
            let trio = try await RelayTrio(network, limits: RelayCircuit.Limits(bytesPerSecond: 500_000))
            let connection = try await trio.dial()
            let start = network.now
            let data = [UInt8](repeating: 1, count: 1_500_000)
            #expect(try await exchange(connection, data) == data)
            let seconds = network.now.duration(since: start).seconds
            #expect(Double(trio.circuit.forwardedBytes) <= 500_000 * seconds + Double(ByteBucket.smallestBurst))
            #expect(trio.circuit.droppedDatagrams > 0)
        }
    }

    @Test func comingBackToTheRelayWorks() async throws {
        let network = SimulatedWorld(seed: 17).network
        try await network.run {
            let trio = try await RelayTrio(network)
            let connection = try await trio.dial()
            let inbound = try await trio.inbound.value()
            _ = try await exchange(connection, Array("confirmed".utf8))
            #expect(connection.migrate(local: trio.leftAddress, remote: trio.rightAddress, kind: .punched))
            try await network.sleep(for: .seconds(2))
            #expect(connection.path.kind == .punched)
            _ = try await exchange(connection, Array("direct".utf8))
            let ends = try #require(trio.leftLeg.renew(trio.circuit.ids.first))
            #expect(connection.migrate(local: ends.local, remote: ends.remote, kind: .relay(trio.relay.nodeID)))
            try await network.sleep(for: .seconds(2))
            #expect(try await exchange(connection, Array("back".utf8)) == Array("back".utf8))
            #expect(connection.path.kind == .relay(trio.relay.nodeID))
            #expect(inbound.path.kind == .relay(trio.relay.nodeID))
        }
    }

    @Test func aClosedCircuitCarriesNothing() async throws {
        let network = SimulatedWorld(seed: 18).network
        try await network.run {
            let trio = try await RelayTrio(network)
            let connection = try await trio.dial()
            trio.forwarder.close(trio.circuit)
            #expect(trio.forwarder.circuitCount == 0)
            #expect(try await connection.waitClosed().origin == .idleTimeout)
        }
    }

    @Test func aThousandCircuitsAreSmall() async throws {
        let network = SimulatedWorld(seed: 19).network
        try await network.run {
            let trio = try await RelayTrio(network)
            let connections = (trio.circuit.sides[0].connection, trio.circuit.sides[1].connection)
            let before = residentBytes()
            var circuits: [RelayCircuit] = []
            for _ in 0..<1_000 {
                let limits = RelayCircuit.Limits(bytes: 1 << 30, bytesPerSecond: 1 << 20)
                circuits.append(try #require(trio.forwarder.open(connections.0, connections.1, limits: limits)))
            }
            #expect(trio.forwarder.circuitCount == 1_001)
            #expect(Set(circuits.flatMap { [$0.ids.first, $0.ids.second] }).count == 2_000)
            #expect(residentBytes() - before < 8 * 1024 * 1024)
            for circuit in circuits { trio.forwarder.close(circuit) }
            #expect(trio.forwarder.circuitCount == 1)
        }
    }

    @Test func randomFramesAreSurvived() async throws {
        let network = SimulatedWorld(seed: 20).network
        try await network.run {
            let trio = try await RelayTrio(network)
            let connection = try await trio.dial()
            var random = SplitMix64(seed: 99)
            for round in 0..<3_000 {
                var bytes = (0..<Int(random.next() % 120)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
                if !bytes.isEmpty { bytes[0] = 0x10 | (bytes[0] & 0x0f) }
                if round % 2 == 0, bytes.count >= 9 {
                    bytes.withUnsafeMutableBytes { bytes in
                        RelayFrame.write(circuit: trio.circuit.ids.second, epoch: 3, at: 0, of: bytes)
                    }
                }
                for endpoint in [trio.left, trio.relay, trio.right] {
                    var copy = bytes
                    copy.withUnsafeMutableBytes {
                        endpoint.receive($0, local: trio.rightAddress, remote: trio.relayAddress, ecn: 0)
                    }
                    _ = copy.withUnsafeMutableBytes {
                        endpoint.forward(
                            train: $0, segment: Int(random.next() % 40), local: trio.rightAddress,
                            remote: trio.rightAddress, ecn: 0)
                    }
                }
            }
            #expect(try await exchange(connection, [1, 2, 3]) == [1, 2, 3])
        }
    }
}

/// Bytes of this process in memory.
private func residentBytes() -> Int {
    guard let file = fopen("/proc/self/statm", "r") else { return 0 }
    defer { fclose(file) }
    var (size, resident) = (0, 0)
    withUnsafeMutablePointer(to: &size) { size in
        withUnsafeMutablePointer(to: &resident) { resident in
            _ = withVaList([size, resident]) { vfscanf(file, "%ld %ld", $0) }
        }
    }
    return resident * 4_096
}

/// A relay and two clients that are connected to it, with one circuit between them.
@NetworkActor
final class RelayTrio {
    let relay: Endpoint
    let left: Endpoint
    let right: Endpoint
    let relayAddress = SocketAddress(IPAddress(v4: 0x0a00_0001), port: 4001)
    let leftAddress = SocketAddress(IPAddress(v4: 0x0a00_0002), port: 5000)
    let rightAddress = SocketAddress(IPAddress(v4: 0x0a00_0003), port: 5000)
    let forwarder: RelayForwarder
    let circuit: RelayCircuit
    let leftLeg: RelayLeg
    let rightLeg: RelayLeg
    let inbound = Waiter<Connection>()

    init(_ network: SimulatedNetwork, limits: RelayCircuit.Limits = RelayCircuit.Limits()) async throws {
        func endpoint(_ address: SocketAddress) throws -> Endpoint {
            try Endpoint(key: .generate(), driver: network.makeDriver(address: address), clock: network)
        }
        relay = try endpoint(relayAddress)
        left = try endpoint(leftAddress)
        right = try endpoint(rightAddress)
        forwarder = relay.startForwarding()
        var clients: [NodeID: Connection] = [:]
        relay.onConnection = { clients[$0.remoteNodeID] = $0 }
        right.onConnection = { [inbound] connection in
            serveEcho(connection)
            inbound.resume(returning: connection)
        }
        for endpoint in [relay, left, right] { endpoint.start() }
        leftLeg = RelayLeg(try await left.connect(to: relayAddress, expecting: relay.nodeID))
        rightLeg = RelayLeg(try await right.connect(to: relayAddress, expecting: relay.nodeID))
        try await network.sleep(for: .milliseconds(200))
        guard let first = clients[left.nodeID], let second = clients[right.nodeID],
            let circuit = forwarder.open(first, second, limits: limits), rightLeg.open(circuit.ids.second) != nil
        else { throw QUICError(.internalError, "the relay has no circuit") }
        self.circuit = circuit
    }

    func dial() async throws -> Connection {
        guard let ends = leftLeg.open(circuit.ids.first) else { throw QUICError(.limit, "no circuit") }
        return try await left.connect(
            to: ends.remote, from: ends.local, kind: .relay(relay.nodeID), expecting: right.nodeID)
    }
}
