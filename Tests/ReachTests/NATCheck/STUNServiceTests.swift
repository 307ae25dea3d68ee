import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PReach

/// A node's two sockets, on a simulated network.
@Suite struct STUNServiceTests {
    static let node = v4(198, 51, 100, 1, 4001)
    static let client = v4(203, 0, 113, 9, 40_000)

    /// Asks from one socket and returns what came back, with where it came from.
    @NetworkActor
    private func ask(
        _ network: SimulatedNetwork, at target: SocketAddress, _ attributes: [STUNAttribute],
        from client: DatagramSocket
    ) async throws -> (STUNMessage, SocketAddress) {
        let answer = Waiter<Datagram>()
        client.onDatagram = { answer.resume(returning: $0) }
        let id = STUNTransactionID(high: 1, low: 2)
        client.send(STUNMessage.bindingRequest(id, attributes).bytes, to: target)
        let datagram = try await network.withDeadline(.seconds(1)) { try await answer.value() }
        return (try STUNMessage(datagram.bytes), datagram.remote)
    }

    @Test("a change of port is answered from the second socket, which answers by itself too")
    func twoSockets() async throws {
        let network = await SimulatedWorld(seed: 1).network
        try await network.run {
            let endpoint = try Endpoint(
                key: .generate(), driver: network.makeDriver(address: Self.node), clock: network)
            var opened = 0
            let alternate = AlternatePort(endpoint) { address in
                opened += 1
                return DatagramSocket(network.makeDriver(address: SocketAddress(address.ip, port: 5555)))
            }
            let service = STUNService(endpoint, alternate: alternate)
            endpoint.start()
            defer { withExtendedLifetime(service) { endpoint.close() } }
            let client = DatagramSocket(network.makeDriver(address: Self.client))
            let second = SocketAddress(Self.node.ip, port: 5555)
            #expect(opened == 0)

            let (plain, from) = try await ask(network, at: Self.node, [], from: client)
            #expect(from == Self.node)
            #expect(plain.attributes.contains(.alternatePort(5555)))
            #expect(plain.attributes.contains(.xorMappedAddress(Self.client)))
            let change = [STUNAttribute.changeRequest(address: false, port: true)]
            #expect(try await ask(network, at: Self.node, change, from: client).1 == second)
            let (direct, secondFrom) = try await ask(network, at: second, [], from: client)
            #expect(secondFrom == second)
            #expect(direct.attributes.contains(.alternatePort(Self.node.port)))
            #expect(try await ask(network, at: second, change, from: client).1 == Self.node)
            #expect(opened == 1)
            alternate.close()
        }
    }

    @Test("a further socket answers nobody, and what would leave from one that is closed leaves from no other")
    func furtherSockets() async throws {
        let network = await SimulatedWorld(seed: 1).network
        try await network.run {
            let endpoint = try Endpoint(
                key: .generate(), driver: network.makeDriver(address: Self.node), clock: network)
            let service = STUNService(endpoint)
            endpoint.start()
            defer { withExtendedLifetime(service) { endpoint.close() } }
            let driver = network.makeDriver(address: SocketAddress(Self.node.ip, port: 6000))
            let further = try #require(endpoint.addSocket(driver))
            let client = DatagramSocket(network.makeDriver(address: Self.client))
            await #expect(throws: DeadlineExceeded.self) {
                try await self.ask(network, at: further, [], from: client)
            }
            #expect(try await ask(network, at: Self.node, [], from: client).1 == Self.node)
            var sources: [SocketAddress] = []
            client.onDatagram = { sources.append($0.remote) }
            endpoint.sendForeign([1, 2, 3], to: Self.client, from: further)
            endpoint.removeSocket(further)
            endpoint.sendForeign([1, 2, 3], to: Self.client, from: further)
            try await network.sleep(for: .milliseconds(200))
            #expect(sources == [further])
        }
    }

    @Test("what is no STUN opens no second socket")
    func idle() async throws {
        let network = await SimulatedWorld(seed: 1).network
        try await network.run {
            let endpoint = try Endpoint(
                key: .generate(), driver: network.makeDriver(address: Self.node), clock: network)
            var opened = 0
            let alternate = AlternatePort(endpoint) { _ in
                opened += 1
                throw CancellationError()
            }
            let service = STUNService(endpoint, alternate: alternate)
            endpoint.start()
            defer { withExtendedLifetime(service) { endpoint.close() } }
            let client = DatagramSocket(network.makeDriver(address: Self.client))
            for noise in [[0], [1, 2, 3], [UInt8](repeating: 0, count: 40)] { client.send(noise, to: Self.node) }
            try await network.sleep(for: .milliseconds(200))
            #expect(opened == 0)
            // A socket that cannot be opened is a node with one port, and is not tried again.
            for _ in 0..<2 {
                let (plain, _) = try await ask(network, at: Self.node, [], from: client)
                #expect(!plain.attributes.contains { $0.type == STUNAttribute.Code.alternatePort })
            }
            #expect(opened == 1)
        }
    }

    @Test("a transaction's messages go to who expects them, requests are answered whoever does")
    func expected() async throws {
        let network = await SimulatedWorld(seed: 1).network
        try await network.run {
            let endpoint = try Endpoint(
                key: .generate(), driver: network.makeDriver(address: Self.node), clock: network)
            let service = STUNService(endpoint)
            endpoint.start()
            defer { withExtendedLifetime(service) { endpoint.close() } }
            let client = DatagramSocket(network.makeDriver(address: Self.client))
            let id = STUNTransactionID(high: 1, low: 2)
            var heard: [SocketAddress] = []
            service.expect(id) { message, datagram in
                #expect(message.kind == .indication)
                heard.append(datagram.remote)
            }
            for transaction in [STUNTransactionID(high: 3, low: 4), id] {
                client.send(STUNMessage(.indication, transaction: transaction).bytes, to: Self.node)
            }
            #expect(try await ask(network, at: Self.node, [], from: client).1 == Self.node)
            #expect(heard == [Self.client])
            service.forget(id)
            client.send(STUNMessage(.indication, transaction: id).bytes, to: Self.node)
            try await network.sleep(for: .seconds(1))
            #expect(heard.count == 1)
        }
    }
}
