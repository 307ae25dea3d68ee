import DeP2PIdentity
import DeP2PReactor
import DeP2PSessions
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2P

/// Nodes that are reached by names, in a world with a DNS.
@Suite @NetworkActor struct NodeDNSTests {
    private func target(_ text: String) throws -> DialTarget { DialTarget(try Address(text)) }

    private func failure(_ body: () async throws -> Session) async -> DeP2PError? {
        do {
            _ = try await body()
            return nil
        } catch {
            return error as? DeP2PError
        }
    }

    @Test func aNodeIsReachedBehindNamesOfNames() async throws {
        let world = SimulatedWorld(seed: 1)
        try await world.run {
            let (here, there) = (try world.node(on: world.machine()), try world.node(on: world.machine()))
            let address = try #require(there.addresses.first)
            world.names[texts: "_dnsaddr.boot.example"] = [
                "dnsaddr=/dnsaddr/one.boot.example/p2p/\(there.nodeID)",
                "dnsaddr=/dnsaddr/two.boot.example/p2p/\(IdentityKey.generate().nodeID)",
            ]
            world.names[texts: "_dnsaddr.one.boot.example"] = ["dnsaddr=\(address)"]
            let session = try await here.session(to: target("/dnsaddr/boot.example/p2p/\(there.nodeID)"))
            #expect(session.remoteNodeID == there.nodeID)
            for node in [here, there] { await node.stop(grace: .zero) }
        }
    }

    /// Names that lead to each other, and to more and more names, end; which ones failed is told.
    @Test func circlesAndTreesOfNamesEnd() async throws {
        let world = SimulatedWorld(seed: 2)
        try await world.run {
            let here = try world.node(on: world.machine())
            let nodeID = IdentityKey.generate().nodeID
            world.names[texts: "_dnsaddr.a.example"] = ["dnsaddr=/dnsaddr/b.example/p2p/\(nodeID)"]
            world.names[texts: "_dnsaddr.b.example"] = ["dnsaddr=/dnsaddr/a.example/p2p/\(nodeID)"]
            for index in 0..<1_000 {
                world.names[texts: "_dnsaddr.t\(index).example"] = (1...10).map {
                    "dnsaddr=/dnsaddr/t\(index * 10 + $0).example/p2p/\(nodeID)"
                }
            }
            for name in ["a", "t0"] {
                let error = await failure {
                    try await here.session(to: target("/dnsaddr/\(name).example/p2p/\(nodeID)"))
                }
                #expect(error?.attempts.isEmpty == false)
                #expect(error?.attempts.allSatisfy { $0.stage == .resolve } == true)
            }
            await here.stop(grace: .zero)
        }
    }

    @Test func aNameWithoutRecordsIsUnknown() async throws {
        let world = SimulatedWorld(seed: 3)
        try await world.run {
            let here = try world.node(on: world.machine())
            let nodeID = IdentityKey.generate().nodeID
            let error = await failure { try await here.session(to: target("/dnsaddr/none.example/p2p/\(nodeID)")) }
            #expect(error?.code == .nameUnknown)
            #expect(error?.message.contains("_dnsaddr.none.example") == true)
            await here.stop(grace: .zero)
        }
    }
}
