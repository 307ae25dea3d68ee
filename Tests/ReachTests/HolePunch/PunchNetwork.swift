import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Glibc
import Testing

@testable import DeP2PReach
@testable import DeP2PSessions

/// Kinds of NAT that a simulated home may have.
enum SimulatedNATKind: String, CaseIterable, Sendable {
    case open, fullCone, addressRestricted, portRestricted, symmetricSequential, symmetricRandom

    @NetworkActor
    func gateway(_ number: UInt32) -> SimulatedGateway? {
        let external = IPAddress(v4: 0x2d14_0001 + number << 16)
        let inside = IPAddress(v4: 0xc0a8_0000 + number << 8)
        func make(
            _ mapping: SimulatedGateway.Rule, _ filtering: SimulatedGateway.Rule, _ ports: SimulatedGateway.Ports
        ) -> SimulatedGateway {
            SimulatedGateway(
                external: external, inside: inside, mapping: mapping, filtering: filtering, ports: ports,
                seed: UInt64(number))
        }
        return switch self {
        case .open: nil
        case .fullCone: make(.nothing, .nothing, .random)
        case .addressRestricted: make(.nothing, .address, .random)
        case .portRestricted: make(.nothing, .addressAndPort, .preserving)
        case .symmetricSequential: make(.addressAndPort, .addressAndPort, .sequential(step: 1))
        case .symmetricRandom: make(.addressAndPort, .addressAndPort, .random)
        }
    }

    /// Whether two hosts behind these can meet at all without guessing among all ports.
    func meets(_ other: Self) -> Bool {
        let random = [self, other].filter { $0 == .symmetricRandom }.count
        let counting = [self, other].filter { $0 == .symmetricSequential }.count
        let strict = [self, other].filter { $0 == .portRestricted }.count
        return random == 0 || (random == 1 && counting == 0 && strict == 0)
    }
}

/// Two relays on the open network, and nodes behind NATs that know both.
@NetworkActor
final class PunchNetwork {
    let world: SimulatedWorld
    let relay: RelayNode
    let secondRelay: RelayNode
    private var services: [STUNService] = []
    private(set) var nodes: [PunchNode] = []
    /// Whether the nodes made from now on are members of one realm.
    var areMembers = true
    /// How many of the relays the nodes made from now on know.
    var relayCount = 2
    /// Nodes of a test's own.
    var liars: [RelayNode] = []

    init(seed: UInt64) throws {
        world = SimulatedWorld(seed: seed)
        world.network.link.latency = .milliseconds(20)
        relay = try world.relayNode(
            at: SocketAddress(IPAddress(v4: 0x2d0a_0001), port: 4001), relay: RelayLimits())
        secondRelay = try world.relayNode(
            at: SocketAddress(IPAddress(v4: 0x2d0a_0101), port: 4001), relay: RelayLimits())
        services = [STUNService(relay.endpoint), STUNService(secondRelay.endpoint)]
    }

    var network: SimulatedNetwork { world.network }

    func wait(atMost duration: Duration, until condition: @NetworkActor () -> Bool) async throws -> Bool {
        try await world.wait(atMost: duration, until: condition)
    }

    /// A node on the open network, which these nodes don't know.
    func relayNode(at address: SocketAddress) throws -> RelayNode { try world.relayNode(at: address) }

    /// A node in a home of its own, or in that of `neighbour`.
    func node(
        _ kind: SimulatedNATKind, inHomeOf neighbour: PunchNode? = nil, usesStraightPaths: Bool = true,
        guesses: Bool = true, behind own: SimulatedGateway? = nil
    ) throws -> PunchNode {
        let number = UInt32(nodes.count + 1)
        let gateway = neighbour?.gateway ?? own ?? kind.gateway(number)
        if let gateway, neighbour == nil { network.add(gateway) }
        let ip =
            gateway.map { IPAddress(v4: UInt32(truncatingIfNeeded: $0.inside.low) + 10 + number) }
            ?? IPAddress(v4: 0x2d14_000a + number << 16)
        let node = try world.relayNode(at: SocketAddress(ip, port: 4001))
        let made = PunchNode(
            node, network: network, gateway: gateway, relays: Array([relay, secondRelay].prefix(relayCount)),
            isMember: areMembers,
            usesStraightPaths: usesStraightPaths, guesses: guesses)
        nodes.append(made)
        return made
    }

    /// The second node reserves with the relay, and the first reaches it there.
    ///
    /// - Parameter both: whether it reserves with the other relay too.
    func connect(_ left: PunchNode, _ right: PunchNode, both: Bool = false) async throws -> (
        near: Session, far: Session
    ) {
        right.node.client.use(relay.address)
        #expect(try await world.wait(atMost: .seconds(5)) { !right.node.client.standing.isEmpty })
        if both {
            right.node.client.use(secondRelay.address)
            #expect(try await world.wait(atMost: .seconds(5)) { right.node.client.standing.count == 2 })
        }
        let address = try #require(right.node.client.standing.first?.address)
        let session = try await left.node.connect(address)
        #expect(try await world.wait(atMost: .seconds(1)) { right.session(with: left) != nil })
        return (session, try #require(right.session(with: left)))
    }

    /// The same relay in another process; the one before has ended. Whoever asks for it stops it.
    func restart(_ relay: RelayNode) throws -> RelayNode {
        let again = try world.relayNode(key: relay.key, at: relay.socket, relay: RelayLimits())
        services.append(STUNService(again.endpoint))
        return again
    }

    func stop() {
        for node in nodes { node.stop() }
        for node in [relay, secondRelay] + liars { node.stop() }
    }
}

@NetworkActor
final class PunchNode {
    let node: RelayNode
    let gateway: SimulatedGateway?
    let punch: HolePunch
    /// What guessing opens.
    let sockets: PunchSockets
    let wish = PunchWish()

    init(
        _ node: RelayNode, network: SimulatedNetwork, gateway: SimulatedGateway?, relays: [RelayNode], isMember: Bool,
        usesStraightPaths: Bool,
        guesses: Bool
    ) {
        self.node = node
        self.gateway = gateway
        sockets = PunchSockets(node.socket.ip, network)
        if isMember { node.connections.onSession { $0.endAdmission(admitted: true) } }
        var surroundings = HolePunch.Surroundings(
            interfaces: { [InterfaceAddress(node.socket, prefixLength: 24)] }, observers: { relays.map(\.socket) },
            relays: { _ in relays.map(\.address) }, usesStraightPaths: usesStraightPaths,
            hostMark: Array("\(node.nodeID)".utf8))
        surroundings.chosenRelays = { _ in relays.map(\.address) }
        surroundings.isWaitedFor = { [wish] _ in wish.isThere }
        if guesses { surroundings.openSocket = { [sockets] in try sockets.open() } }
        punch = HolePunch(
            node.connections, endpoint: node.endpoint, stun: STUNService(node.endpoint), relays: node.client,
            surroundings: surroundings)
        punch.start()
    }

    func session(with other: PunchNode) -> Session? { node.connections.session(with: other.node.nodeID) }

    func stop() {
        punch.stop()
        node.stop()
    }
}

/// Whether anything waits for a better path.
@NetworkActor
final class PunchWish {
    var isThere = true
}

/// Free sockets of one host.
@NetworkActor
final class PunchSockets {
    struct Refused: Error {}

    /// More than these can't be had.
    var limit = Int.max
    private(set) var opened: [SocketAddress] = []
    private let ip: IPAddress
    private let network: SimulatedNetwork

    init(_ ip: IPAddress, _ network: SimulatedNetwork) { (self.ip, self.network) = (ip, network) }

    /// Those that are open now.
    var standing: [SocketAddress] { opened.filter { network.isTaken($0) } }

    func open() throws -> any PacketDriver {
        guard opened.count < limit else { throw Refused() }
        let address = SocketAddress(ip, port: UInt16(10_000 + opened.count))
        opened.append(address)
        return network.makeDriver(address: address)
    }
}

/// Runs `body` on a network of its own.
@NetworkActor
func withPunchNetwork(
    seed: UInt64 = 1, _ body: @NetworkActor @Sendable (PunchNetwork) async throws -> Void
) async throws {
    let punch = try PunchNetwork(seed: seed)
    try await punch.world.run {
        try await body(punch)
        punch.stop()
    }
}

extension ConnectionPath {
    var isStraight: Bool { if case .relay = kind { false } else { true } }
}

/// Bytes from one node to another, with every one looked at: what a path change must not disturb.
@NetworkActor
final class PunchTransfer {
    static let id = "/test/sink/1.0.0"
    private static let chunk = 8 * 1024

    private(set) var received = 0
    private(set) var isIntact = true
    private(set) var isComplete = false

    /// Takes what the other side sends on one stream.
    init(at node: PunchNode) {
        node.node.connections.registry.register(Self.id, deadline: .unlimited(because: "a test")) {
            [weak self] _, stream in
            stream.bearsSilence()
            while let chunk = try await stream.read() { self?.take(chunk.array()) }
            self?.isComplete = true
        }
    }

    private func take(_ bytes: [UInt8]) {
        let expected = Self.bytes(at: received, bytes.count)
        // Not byte for byte in Swift: a debug build takes longer for that than for everything else here.
        let isEqual = expected.withUnsafeBytes { left in
            bytes.withUnsafeBytes { right in
                guard let left = left.baseAddress, let right = right.baseAddress else { return true }
                return memcmp(left, right, bytes.count) == 0
            }
        }
        if !isEqual { isIntact = false }
        received += bytes.count
    }

    /// What is sent repeats itself after so many bytes, each of which is its position's two last bytes together.
    private static let period = 65_536
    private static let pattern = (0..<2 * period).map { UInt8(truncatingIfNeeded: $0 ^ $0 >> 8) }

    private static func bytes(at position: Int, _ count: Int) -> ArraySlice<UInt8> {
        pattern[position % period..<position % period + count]
    }

    /// Sends until `condition` holds, then ends the stream; returns how much was sent.
    func send(on session: Session, until condition: @NetworkActor () -> Bool) async throws -> Int {
        let stream = try await session.openStream(Self.id)
        stream.bearsSilence()
        var sent = 0
        while !condition() {
            try await stream.write(Chunk(Array(Self.bytes(at: sent, Self.chunk))))
            sent += Self.chunk
            try await session.clock.sleep(for: .milliseconds(20))
        }
        stream.finish()
        return sent
    }
}
