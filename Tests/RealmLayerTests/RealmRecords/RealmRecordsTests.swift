import DeP2PDiscovery
import DeP2PIdentity
import DeP2PReactor
import DeP2PSessions
import DeP2PSimulation
import Testing

@testable import DeP2PRealm

/// A realm's records among nodes whose clocks differ.
@Suite @NetworkActor struct RealmRecordsTests {
    /// A node of a realm.
    private struct Member {
        let node: LightNode
        let realm: Realm
        let records: RealmRecords
    }

    private let world = SimulatedWorld(seed: 1, latency: .zero)
    private let key = RealmKey.generate()

    private func member(_ host: UInt32, at time: UInt64, server: LightNode) throws -> Member {
        let identity = IdentityKey.generate()
        let node = world.lightNode(at: IPAddress(v4: 0x2d01_0000 + host), port: 1, key: identity)
        let realm = Realm(node.connections)
        let address = Address.quic(IPAddress(v4: 0x2d01_0000 + host), port: 1)
        let dht = DHTNode(node.connections, bootstrap: [server.address], memory: nil)
        let records = RealmRecords(dht, of: realm, on: node.connections, wallClock: { time }) { _ in
            // A record of its own key can be signed.
            guard
                let envelope = try? PeerRecord(nodeID: identity.nodeID, seq: 7, addresses: [address]).sealed(
                    by: identity)
            else { return nil }
            return (envelope, 7)
        }
        try realm.join(key)
        return Member(node: node, realm: realm, records: records)
    }

    /// The publisher's clock is three hours slow, and so in the day before.
    @Test(arguments: [3, 21] as [UInt64]) func aMemberIsFoundWhoseClockIsInTheNeighbouringEpoch(hours: UInt64)
        async throws
    {
        try await world.run {
            let hour: UInt64 = 3_600_000
            let time = 20 * RealmEpoch.length + hour / 2 + (hours == 21 ? 23 * hour : 0)
            let server = world.lightNode(at: IPAddress(v4: 0x2d00_0001), port: 1)
            let service = DHTService(DHTNode(server.connections, bootstrap: [], memory: nil))
            service.serve()
            let there = try member(1, at: hours == 21 ? time + 3 * hour : time - 3 * hour, server: server)
            let here = try member(2, at: time, server: server)
            there.records.publish()
            try await world.network.sleep(for: .seconds(5))
            var found: [Address] = []
            for await addresses in here.records.addresses(of: there.node.nodeID) {
                found += addresses.addresses.map(\.address)
            }
            #expect(found == [.quic(IPAddress(v4: 0x2d01_0001), port: 1)])
            there.records.stop()
            service.stop()
        }
    }
}
