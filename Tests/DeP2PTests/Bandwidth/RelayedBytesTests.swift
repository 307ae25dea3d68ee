import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PSessions
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2P
@testable import DeP2PReach

/// What two members behind NATs have a relay carry until their path is a straight one, when nothing else moves: at most
/// 4 KiB, a ping included (issue 13).
@Suite(.serialized, .timeLimit(.minutes(2))) @NetworkActor struct RelayedBytesTests {
    private let key = RealmKey.generate()

    private func configuration(_ change: (inout NodeConfiguration) -> Void = { _ in }) -> NodeConfiguration {
        var configuration = NodeConfiguration(identity: IdentityKey.generate())
        (configuration.mapsPorts, configuration.usesMDNS) = (false, false)
        change(&configuration)
        return configuration
    }

    private func gateway(_ number: UInt32, _ ports: SimulatedGateway.Ports?) -> SimulatedGateway {
        let (external, inside) = (IPAddress(v4: 0x2d14_0001 + number << 8), IPAddress(v4: 0xc0a8_0000 + number << 8))
        guard let ports else {
            return SimulatedGateway(
                external: external, inside: inside, mapping: .nothing, filtering: .addressAndPort, ports: .preserving)
        }
        return SimulatedGateway(
            external: external, inside: inside, mapping: .addressAndPort, filtering: .addressAndPort, ports: ports,
            seed: UInt64(number))
    }

    private func relay(_ world: SimulatedWorld) throws -> Node {
        try world.node(
            configuration { $0.relay = RelayConfiguration(membersOnly: false) }, on: world.machine())
    }

    /// As `dep2p ping --until-direct` does it.
    ///
    /// - Returns: what went over the relay, both ways; `nil` when the path stayed a relayed one.
    private func bytes(
        _ world: SimulatedWorld, from near: SimulatedGateway, to far: SimulatedGateway
    ) async throws -> (bytes: UInt64?, pings: Int) {
        let relays = [try relay(world), try relay(world)]
        let addresses = relays.flatMap(\.addresses)
        let right = try world.node(configuration { $0.relays = addresses }, on: world.machine(behind: far))
        let left = try world.node(
            configuration {
                $0.relays = addresses
                $0.reserves = false
            }, on: world.machine(behind: near))
        for node in [left, right] { try node.join(key) }
        #expect(try await world.wait(atMost: .seconds(10)) { right.relayReservations.count == 2 })
        let relayed = right.relayReservations.flatMap(\.addresses)
        let connection = try await left.connect(to: DialTarget(addresses: relayed), timeout: .seconds(20))
        var options = PingOptions()
        (options.interval, options.duration, options.followsPath) = (.seconds(10), .seconds(25), true)
        var pings = 0
        for try await reply in connection.pings(options) {
            pings += 1
            if !reply.path.isRelayed { break }
        }
        let before = connection.statistics.relayedBeforeStraight?.both
        #expect(before == nil || !connection.path.isRelayed)
        for node in [left, right] + relays { await node.stop(grace: .zero) }
        return (before, pings)
    }

    @Test("two that are punched", arguments: 1...3)
    func punched(seed: UInt64) async throws {
        let world = SimulatedWorld(seed: seed)
        world.network.link.latency = .milliseconds(20)
        try await world.run {
            let (bytes, pings) = try await bytes(world, from: gateway(1, nil), to: gateway(2, nil))
            #expect(bytes ?? .max <= 4_096 && pings == 2, "\(bytes ?? 0) bytes, \(pings) pings")
        }
    }

    @Test("two of whom one has to guess ports", arguments: [false, true])
    func guessed(isNear: Bool) async throws {
        let world = SimulatedWorld(seed: 11)
        world.network.link.latency = .milliseconds(20)
        try await world.run {
            let (bytes, pings) = try await bytes(
                world, from: gateway(1, isNear ? .random : nil), to: gateway(2, isNear ? nil : .random))
            #expect(bytes ?? .max <= 4_096 && pings == 2, "\(bytes ?? 0) bytes, \(pings) pings")
        }
    }
}
