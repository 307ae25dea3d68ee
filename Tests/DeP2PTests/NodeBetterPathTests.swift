import DeP2PIdentity
import DeP2PReactor
import DeP2PRealm
import DeP2PSessions
import DeP2PSimulation
import Testing

@testable import DeP2P

/// Whole nodes whose direct session moves to a better direct path (issue 9.5).
@Suite @NetworkActor struct NodeBetterPathTests {
    /// What they tell each other by identify is enough, and each asks for nothing.
    @Test("members of one home that met at its public address meet inside", arguments: [1, 2])
    func insideOneHome(seed: UInt64) async throws {
        let world = SimulatedWorld(seed: seed)
        let key = RealmKey.generate()
        try await world.run {
            let gateway = SimulatedGateway(
                external: IPAddress(v4: 0x2d14_0001), inside: IPAddress(v4: 0xc0a8_0100), mapping: .nothing,
                filtering: .nothing)
            let outside = try world.node(on: world.machine())
            let right = try world.node(on: world.machine(behind: gateway))
            let left = try world.node(on: world.machine(behind: gateway))
            for node in [outside, right, left] { try node.join(key) }
            let seen = try await outside.connectedFrom(right, in: world)
            let address = try Address("/ip4/\(seen.ip)/udp/\(seen.port)/quic-v1/p2p/\(right.nodeID)")
            let session = try await left.connectMember(DialTarget(addresses: [address]))
            #expect(session.path.remote == seen && seen.ip == gateway.external)
            let inside = try #require(right.localAddresses.first)
            #expect(try await world.wait(atMost: .seconds(30)) { session.path.remote == inside })
            #expect(session.path.kind == .direct && session.isOpen)
            // And stays there.
            try await world.network.sleep(for: .seconds(600))
            #expect(session.path.remote == inside && session.isOpen)
            for node in [left, right, outside] { await node.stop(grace: .zero) }
        }
    }
}

extension Node {
    /// Has the other node connect to this one.
    ///
    /// - Returns: where it is seen.
    fileprivate func connectedFrom(_ other: Node, in world: SimulatedWorld) async throws -> SocketAddress {
        _ = try await other.connectMember(DialTarget(addresses: addresses))
        // Who was dialled has the connection half a round trip later.
        _ = try await world.wait(atMost: .seconds(1)) { connections.session(with: other.nodeID) != nil }
        return try #require(connections.session(with: other.nodeID)?.path.remote)
    }
}
