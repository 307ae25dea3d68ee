import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PReach

/// The shell: socket and timers against a PCP gateway on a simulated network.
@Suite struct PortMapperTests {
    static let gatewayAddress = v4(192, 168, 1, 1, PCP.port)
    static let client = v4(192, 168, 1, 10, 60_000)

    /// Answers MAP with `lifetime` and port 40000; counts what it is asked.
    @NetworkActor
    private final class Gateway {
        let socket: DatagramSocket
        private(set) var requests = 0
        private(set) var removals = 0

        init(on network: SimulatedNetwork, lifetime: UInt32) {
            socket = DatagramSocket(network.makeDriver(address: gatewayAddress))
            socket.onDatagram = { [unowned self] datagram in
                let bytes = datagram.bytes
                guard bytes.first == PCP.version, bytes.count == PCP.headerLength + PCP.mapLength else { return }
                let isRemoval = Array(bytes[4..<8]) == [0, 0, 0, 0]
                if isRemoval { removals += 1 } else { requests += 1 }
                let epoch = UInt32(network.now.duration(since: NetworkInstant(nanoseconds: 0)).seconds)
                var response = [2, 0x81, 0, 0] + (isRemoval ? 0 : lifetime).bigEndianBytes + epoch.bigEndianBytes
                response += [UInt8](repeating: 0, count: 12) + Array(bytes[24..<42]) + UInt16(40_000).bigEndianBytes
                response += [UInt8](repeating: 0, count: 10) + [0xff, 0xff, 203, 0, 113, 50]
                socket.send(response, to: datagram.remote)
            }
        }
    }

    @Test("maps, renews until it is stopped, and takes the mapping away")
    func lifecycle() async throws {
        let network = await SimulatedWorld(seed: 1).network
        try await network.run {
            let gateway = Gateway(on: network, lifetime: 120)
            let mapper = PortMapper(
                internalPort: 4001, gateway: Self.gatewayAddress, client: Self.client.ip,
                socket: DatagramSocket(network.makeDriver(address: Self.client)), clock: network)
            var changes: [PortMapping?] = []
            mapper.onChange = { changes.append($0) }
            mapper.start()
            try await network.sleep(for: .seconds(290))
            #expect(changes.map(\.?.externalPort) == [40_000])
            #expect(mapper.mapping?.externalAddress == v4(203, 0, 113, 50, 0).ip)
            #expect(gateway.requests == 5)
            await mapper.stop()
            #expect(gateway.removals == 1)
            #expect(mapper.mapping == nil)
            try await network.sleep(for: .seconds(600))
            #expect(gateway.requests == 5)
        }
    }

    @Test("a stranger's answer is not the gateway's")
    func stranger() async throws {
        let network = await SimulatedWorld(seed: 1).network
        try await network.run {
            let mapper = PortMapper(
                internalPort: 4001, gateway: Self.gatewayAddress, client: Self.client.ip,
                socket: DatagramSocket(network.makeDriver(address: Self.client)), clock: network)
            let stranger = DatagramSocket(network.makeDriver(address: v4(192, 168, 1, 66, PCP.port)))
            let listener = DatagramSocket(network.makeDriver(address: Self.gatewayAddress))
            // Knows the nonce, as everybody on a shared medium does, but does not speak from the gateway's address.
            listener.onDatagram = { datagram in
                // What follows when nobody answers in time is NAT-PMP, whose messages are shorter.
                guard datagram.bytes.count == PCP.headerLength + PCP.mapLength else { return }
                var response = [2, 0x81, 0, 0] + UInt32(120).bigEndianBytes + UInt32(9).bigEndianBytes
                response += [UInt8](repeating: 0, count: 12) + Array(datagram.bytes[24..<42]) + [1, 1]
                response += [UInt8](repeating: 0, count: 10) + [0xff, 0xff, 6, 6, 6, 6]
                stranger.send(response, to: datagram.remote)
            }
            mapper.start()
            try await network.sleep(for: .milliseconds(200))
            #expect(mapper.mapping == nil)
            await mapper.stop()
        }
    }

    @Test("a gateway that says to everyone that it has restarted is asked at once")
    func announcement() async throws {
        let network = await SimulatedWorld(seed: 1).network
        try await network.run {
            let gateway = Gateway(on: network, lifetime: 1200)
            let heard = SocketAddress(Self.client.ip, port: PCP.announcements.port)
            let mapper = PortMapper(
                internalPort: 4001, gateway: Self.gatewayAddress, client: Self.client.ip,
                socket: DatagramSocket(network.makeDriver(address: Self.client)),
                announcements: DatagramSocket(network.makeDriver(address: heard)), clock: network)
            mapper.start()
            try await network.sleep(for: .seconds(60))
            #expect(gateway.requests == 1)
            let announcement: [UInt8] = [2, 0x80, 0, 0] + [UInt8](repeating: 0, count: 20)
            let stranger = DatagramSocket(network.makeDriver(address: v4(192, 168, 1, 66, PCP.port)))
            stranger.send(announcement, to: heard)
            try await network.sleep(for: .seconds(1))
            #expect(gateway.requests == 1)
            gateway.socket.send(announcement, to: heard)
            try await network.sleep(for: .seconds(1))
            #expect(gateway.requests == 2)
            await mapper.stop()
        }
    }

    @Test("a node's ports: one mapper a family, asked anew when the network changed, all taken back at the end")
    func severalFamilies() async throws {
        let network = await SimulatedWorld(seed: 1).network
        try await network.run {
            let gateway = Gateway(on: network, lifetime: 1200)
            var asked: [IPAddress.Family] = []
            let sockets = [
                v4(0, 0, 0, 0, 4001), SocketAddress(.v6Any, port: 4002), SocketAddress(.v4Loopback, port: 9),
            ]
            let mappings = PortMappings(of: sockets) { port, family in
                asked.append(family)
                guard family == .v4 else { return nil }
                let socket = SocketAddress(Self.client.ip, port: 60_000 + UInt16(asked.count))
                return PortMapper(
                    internalPort: port, gateway: Self.gatewayAddress, client: Self.client.ip,
                    socket: DatagramSocket(network.makeDriver(address: socket)), clock: network)
            }
            var changes: [UInt16?] = []
            mappings.onChange = { _, mapping in changes.append(mapping?.externalPort) }
            mappings.start()
            try await network.sleep(for: .seconds(1))
            #expect(Set(asked) == [.v4, .v6])
            #expect(changes == [40_000])
            #expect(mappings.addresses == [v4(203, 0, 113, 50, 40_000)])
            // The gateway of this test is not the machine's: the mapper is exchanged for another.
            mappings.networkChanged()
            try await network.sleep(for: .seconds(5))
            #expect(gateway.removals == 1)
            #expect(changes == [40_000, nil, 40_000])
            await mappings.stop()
            #expect(gateway.removals == 2)
            #expect(mappings.addresses.isEmpty)
            mappings.networkChanged()
            #expect(asked.filter { $0 == .v4 }.count == 2)
        }
    }

    @Test("which protocols a gateway speaks, and that silence is an answer")
    func probe() async throws {
        let network = await SimulatedWorld(seed: 1).network
        try await network.run {
            let probe = PortMappingProbe(clock: network)
            let socket = DatagramSocket(network.makeDriver(address: Self.client))
            let silent = try await probe.ask(Self.gatewayAddress, by: socket, client: Self.client.ip)
            #expect(silent == PortMappingProbe.Answer(protocols: [.pcp: false, .natPMP: false]))
            let gateway = DatagramSocket(network.makeDriver(address: Self.gatewayAddress))
            gateway.onDatagram = { datagram in
                guard datagram.bytes == NATPMP.addressRequest else { return }
                gateway.send([0, 128, 0, 0, 0, 0, 0, 7, 203, 0, 113, 50], to: datagram.remote)
            }
            let found = try await probe.ask(Self.gatewayAddress, by: socket, client: Self.client.ip)
            #expect(found.protocols == [.pcp: false, .natPMP: true])
            #expect(found.external == v4(203, 0, 113, 50, 0).ip)
        }
    }
}
