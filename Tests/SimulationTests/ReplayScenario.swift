import DeP2P
import DeP2PApp
import DeP2PIdentity
import DeP2PReach
import DeP2PReactor
import DeP2PSessions
import DeP2PSimulation

/// A few minutes in the life of a world, with something of everything: homes behind NATs, a relay, hole punching, loss, a
/// realm, messages, a node that dies, a name, and light nodes beside.
@NetworkActor
enum ReplayScenario {
    static func trace(seed: UInt64) async throws -> String {
        let world = SimulatedWorld(seed: seed, keepsTrace: true)
        world.network.link.latency = .milliseconds(15)
        world.network.link.jitter = .milliseconds(3)
        world.network.link.loss = 0.01
        world.network.link.duplication = 0.005
        try await world.run {
            try await meet(in: world)
            try await gossip(in: world)
        }
        return world.trace.text
    }

    private static func meet(in world: SimulatedWorld) async throws {
        let realm = try RealmKey(bytes: world.randomSource().bytes(RealmKey.length))
        var relaying = NodeConfiguration()
        relaying.relay = RelayConfiguration(membersOnly: false)
        relaying.usesRelays = false
        let relay = try world.node(relaying, on: world.machine())
        var homely = NodeConfiguration()
        homely.relays = relay.addresses
        let (left, right) = (
            try world.node(homely, on: world.machine(behind: home(1, .address))),
            try world.node(homely, on: world.machine(behind: home(2, .addressAndPort)))
        )
        for node in [left, right] { try node.join(realm) }
        try right.onMessage("echo") { $0.body }
        _ = await right.waitForRelay(timeout: .seconds(10))
        let target = DialTarget(nodeID: right.nodeID, addresses: right.addresses)
        for number in 0..<20 {
            let reply = try await left.send(
                [UInt8](repeating: UInt8(number), count: number * 700), to: target, protocol: "echo")
            world.trace.note("reply \(number) of \(reply?.count ?? -1)")
            try await world.network.sleep(for: .milliseconds(400))
        }
        try await world.network.sleep(for: .seconds(20))
        await right.stop(grace: .seconds(1))
        try await world.network.sleep(for: .seconds(20))
        for node in [left, relay] { await node.stop(grace: .zero) }
    }

    private static func home(_ number: UInt32, _ filtering: SimulatedGateway.Rule) -> SimulatedGateway {
        SimulatedGateway(
            external: IPAddress(v4: 0x2d14_0001 + number << 16), inside: IPAddress(v4: 0xc0a8_0000 + number << 8),
            mapping: .nothing, filtering: filtering, ports: .random, seed: UInt64(number))
    }

    private static func gossip(in world: SimulatedWorld) async throws {
        world.names["first.example"] = [IPAddress(v4: 0x2e00_0001)]
        let nodes = (0..<30).map { world.lightNode(at: IPAddress(v4: 0x2e00_0001 + $0 << 8)) }
        for node in nodes { Ping.serve(on: node.connections) }
        let named = try Address("/dns4/first.example/udp/4001/quic-v1")
        for node in nodes.dropFirst() {
            let session = try await node.connections.connect(
                to: DialTarget(nodeID: nodes[0].nodeID, addresses: [named]))
            let time = try await Ping.open(session).ping(timeout: .seconds(5))
            world.trace.note("ping \(time)")
        }
        for node in nodes { node.connections.stop() }
        try await world.driveToIdle()
    }
}
