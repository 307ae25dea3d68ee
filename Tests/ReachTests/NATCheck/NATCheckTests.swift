import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PReach

/// The shell: sockets, timers and both families, on a simulated network.
@Suite struct NATCheckTests {
    /// Observers that answer STUN on a network, kept as long as it runs.
    @NetworkActor
    private final class Observers {
        private var responder = STUNResponder()
        private let sockets: [DatagramSocket]

        init(_ addresses: [SocketAddress], on network: SimulatedNetwork) {
            sockets = addresses.map { DatagramSocket(network.makeDriver(address: $0)) }
            for socket in sockets {
                socket.onDatagram = { [unowned self] datagram in
                    let response = responder.respond(
                        to: datagram.bytes, from: datagram.remote, on: socket.localAddress, now: network.now)
                    if let response { socket.send(response.bytes, to: response.destination) }
                }
            }
        }
    }

    @NetworkActor
    private func check(
        _ network: SimulatedNetwork, observers: [SocketAddress], hasIPv6: Bool = true
    ) async throws -> NATReport {
        var port: UInt16 = 50_000
        let own: [IPAddress.Family: IPAddress] = [
            .v4: v4(45, 9, 0, 7, 0).ip, .v6: v6(0x2001_0db8_0000_0000, 7, 0).ip,
        ]
        let check = NATCheck(
            clock: network,
            open: { family in
                port += 1
                return DatagramSocket(
                    network.makeDriver(address: SocketAddress(own[family] ?? .v4Any, port: port)))
            },
            source: { destination in
                destination.ip.family == .v6 && !hasIPv6 ? nil : own[destination.ip.family]
            })
        return try await check.run(observers: observers)
    }

    static let all = [
        v4(198, 51, 100, 1, 4001), v4(198, 51, 100, 1, 443), v4(198, 51, 100, 2, 4001),
        v6(0x2001_0db8_0000_0001, 1, 4001), v6(0x2001_0db8_0000_0001, 1, 443), v6(0x2001_0db8_0000_0002, 2, 4001),
    ]

    @Test("both families are checked at once, and the sockets closed")
    func bothFamilies() async throws {
        let network = await SimulatedWorld(seed: 1).network
        let report = try await network.run {
            let start = network.now
            let observers = Observers(Self.all, on: network)
            defer { withExtendedLifetime(observers) {} }
            let report = try await check(network, observers: Self.all)
            #expect(network.now.duration(since: start) < .seconds(1))
            return report
        }
        #expect(report.ipv4Family.natType == .open)
        #expect(report.ipv6Family.natType == .open)
        #expect(report.observers == 6)
        #expect(report.mapping == .endpointIndependent)
        #expect(report.ipv4Family.mtu == 1500)
        #expect(report.ipv4Family.observations.allSatisfy { $0.roundTrip == .milliseconds(40) })
    }

    @Test("a machine without IPv6 says so; one whose observers are silent does not")
    func missingFamily() async throws {
        let network = await SimulatedWorld(seed: 1).network
        let report = try await network.run {
            let observers = Observers(Array(Self.all[3...]), on: network)
            defer { withExtendedLifetime(observers) {} }
            return try await check(network, observers: Self.all, hasIPv6: false)
        }
        #expect(report.ipv6 == false)
        #expect(report.ipv4 == nil)
        #expect(report.udp == nil)
    }

    @Test("an observer inside the network is left out where there are others: it sees no translation")
    func insideObserver() async throws {
        let network = await SimulatedWorld(seed: 1).network
        let report = try await network.run {
            let inside = v4(192, 168, 1, 77, 4001)
            let observers = Observers([inside, v4(45, 10, 0, 1, 4001)], on: network)
            defer { withExtendedLifetime(observers) {} }
            return try await check(network, observers: [inside, v4(45, 10, 0, 1, 4001)])
        }
        #expect(report.observersAsked == 1)
        #expect(report.observers == 1)
    }

    @Test("at the limit the check ends with what is known")
    func limit() async throws {
        let network = await SimulatedWorld(seed: 1).network
        try await network.run {
            let start = network.now
            let observers = Observers(Array(Self.all[..<1]), on: network)
            defer { withExtendedLifetime(observers) {} }
            let check = NATCheck(
                clock: network, open: { _ in DatagramSocket(network.makeDriver(address: v4(192, 0, 2, 9, 50_001))) },
                source: { _ in v4(192, 0, 2, 9, 0).ip })
            let report = try await check.run(observers: Array(Self.all[..<3]), limit: .milliseconds(300))
            #expect(network.now.duration(since: start) == .milliseconds(300))
            #expect(report.observersAsked == 3)
            #expect(report.observers == 0)
            #expect(report.natType == nil)
        }
    }

    @Test("a cancelled check ends at once")
    func cancellation() async throws {
        let network = await SimulatedWorld(seed: 1).network
        await network.run {
            let task = networkTask { try await check(network, observers: Self.all) }
            await Task.yield()
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
        }
    }
}
